/*
 * Lists that a directory keeps grow old when nobody refreshes them: the timer was never set up, or the directory has been
 * gone for days. They stay in use, since the last good list protects better than none, and the log says so at each start and
 * reload and every hour until it is mended. The files are the administrator's and may be written while they are looked at;
 * what is wrong with them, `check` and the refresh tell.
 */
#include "gateway/sallyport/supervisor.h"

#include "config/directory.h"

#define LOOK_MS ((int64_t)3600 * 1000)

static void on_age(void *arg, const struct sp_directory_age *age)
{
    const struct supervisor *s = arg;

    if (age->is_stale)
        sp_log_warn(s->log, "directory.stale", SP_TEXT("directory", age->directory),
                    SP_TEXT("list", age->list), SP_MS("age", age->age_ms));
}

static void on_look(void *arg)
{
    struct supervisor *s = arg;

    if (s->stopping)
        return;
    ages_look(s);
}

void ages_look(struct supervisor *s)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();

    sp_directory_ages(s->now->folder, s->now->config->policy,
                      sp_clock_wall_ms(sp_loop_clock(s->loop)), problems, on_age, s);
    if (s->ages == NULL)
        s->ages = sp_timer_new(s->loop, on_look, s);
    sp_timer_start(s->ages, LOOK_MS);
}
