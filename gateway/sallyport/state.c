/*
 * Which generation each role runs, and why that is not the newest: a page of shared memory that admin reads when somebody
 * asks. So a supervisor that is busy need not answer, an admin that hangs hears nothing late, and what is told is of now.
 * It has two halves, and the older one is written anew: whoever reads meanwhile, or while we are kept from going on, finds the
 * other one whole. Each half: a checksum of what follows, the number of this writing, the JSON and its length. It is written
 * each second, too, with the time of that (monotonic): who hangs shows an old one.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HALF_LEN  ((size_t)128 * 1024) /* lib/admin/state.c has it too */
#define STATE_MAX (HALF_LEN - 16)      /* of the JSON */
#define BEAT_MS   1000

static void on_beat(void *arg)
{
    struct supervisor *s = arg;

    state_write(s);
    sp_timer_start(s->beat, BEAT_MS);
}

void state_open(struct supervisor *s)
{
    char path[40];

    s->state = memfd_create("sallyport-state", MFD_CLOEXEC);
    if (s->state < 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", s->state);
    s->state_shown = open(path, O_RDONLY | O_CLOEXEC); /* dup() would let it be written by */
    (void)fchmod(s->state, 0400);                      /* nor can another uid open it anew */
    s->beat = sp_timer_new(s->loop, on_beat, s);
    sp_timer_start(s->beat, BEAT_MS);
}

static const char *state_of(const struct child *c)
{
    static const char *const names[] = {[CHILD_DOWN] = "down",
                                        [CHILD_STARTING] = "starting",
                                        [CHILD_READY] = "ready",
                                        [CHILD_ENDING] = "ending"};

    return names[c->state];
}

static void put_refusal(const struct refusal *r, struct sp_jw *w)
{
    static const char *const names[] = {[GENERATION_UNREAD] = "configuration",
                                        [GENERATION_READ] = "configuration",
                                        [GENERATION_RENEWED] = "certificates",
                                        [GENERATION_ROTATED] = "tickets"};
    bool is_database = r->why == SP_E_STORE_FAILED; /* whatever it was to start with */
    char at[40];

    if (!r->stands)
        return;
    sp_time_format_rfc3339(r->at_ms, at);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "what", is_database ? "database" : names[r->origin]);
    if (r->generation != 0)
        sp_jw_int(w, "generation", (int64_t)r->generation);
    sp_jw_cstr(w, "at", at);
    sp_jw_cstr(w, "role", trial_by(r));
    sp_jw_int(w, "index", r->by == NULL ? 0 : r->by->index);
    sp_jw_cstr(w, "why", sp_rc_name(r->why));
    sp_jw_cstr(w, "detail", r->detail);
    sp_jw_end(w);
}

static void put_state(const struct supervisor *s, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_int(&w, "alive_ms", sp_clock_mono_ms(sp_loop_clock(s->loop)));
    sp_jw_int(&w, "generation", (int64_t)s->now->number);
    sp_jw_int(&w, "newest", (int64_t)s->newest);
    sp_jw_bool(&w, "accepted", s->now == s->accepted);
    sp_jw_array(&w, "refused");
    for (enum generation_origin o = 0; o < GENERATION_ORIGINS; o++)
        put_refusal(&s->refusals[o], &w);
    sp_jw_end(&w);
    sp_jw_array(&w, "roles");
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *c = &s->children[i];

        sp_jw_object(&w, NULL);
        sp_jw_cstr(&w, "role", sp_ipc_role_name(c->kind));
        sp_jw_int(&w, "index", c->index);
        sp_jw_cstr(&w, "state", state_of(c));
        sp_jw_int(&w, "generation", (int64_t)c->took);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    sp_jw_end(&w);
}

void state_write(struct supervisor *s)
{
    struct sp_buf json, said, half;
    uint64_t number = s->state_number + 1;

    if (s->state < 0)
        return;
    sp_buf_init(&json, STATE_MAX);
    sp_buf_init(&said, HALF_LEN);
    sp_buf_init(&half, HALF_LEN);
    put_state(s, &json);
    sp_buf_put_u64(&said, number);
    sp_buf_put_var(&said, sp_buf_bytes(&json));
    sp_buf_put_u32(&half, sp_crc32c(0, sp_buf_bytes(&said)));
    sp_buf_put(&half, sp_buf_bytes(&said));
    if (sp_buf_rc(&json) == SP_OK &&
        pwrite(s->state, half.ptr, half.len, (off_t)(number % 2 * HALF_LEN)) == (ssize_t)half.len)
        s->state_number = number;
    else
        sp_log_warn(s->log, "supervisor.state-unwritten", SP_INT("errno", errno));
    sp_buf_clear(&json);
    sp_buf_clear(&said);
    sp_buf_clear(&half);
}

void state_close(struct supervisor *s)
{
    if (s->beat != NULL)
        sp_timer_free(SP_STEAL(s->beat));
    if (s->state >= 0)
        close(s->state);
    if (s->state_shown >= 0)
        close(s->state_shown);
    s->state = s->state_shown = -1;
}
