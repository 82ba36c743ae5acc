/*
 * A line that says how far an act on many messages is, for who watches: a hundred thousand acts take half a minute, and on a slow
 * disk a hundred do. It stands on a terminal alone, is taken away before anything else is said, and leaves nothing behind.
 */
#include "gateway/cli-control/progress.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#define EVERY_MS 500

int64_t control_now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void control_progress_init(struct control_progress *p, const struct control *c)
{
    *p = (struct control_progress){.is_on = !c->json && !c->mute && isatty(STDERR_FILENO) != 0,
                                   .shown_ms = control_now_ms()};
}

void control_progress_clear(struct control_progress *p)
{
    if (p->len > 0)
        (void)fprintf(stderr, "\r%*s\r", p->len, "");
    p->len = 0;
}

void control_progress_show(struct control_progress *p, bool at_once, const char *format, ...)
{
    int64_t now = p->is_on ? control_now_ms() : 0;
    va_list values;
    int len;

    if (!p->is_on || (!at_once && now - p->shown_ms < EVERY_MS))
        return;
    control_progress_clear(p);
    va_start(values, format);
    len = vfprintf(stderr, format, values);
    va_end(values);
    p->len = len > 0 ? len : 0;
    p->shown_ms = now;
}
