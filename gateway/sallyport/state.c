/*
 * Which generation each role runs, and why that is not the newest: a page of shared memory that admin reads when somebody
 * asks. So a supervisor that is busy need not answer, an admin that hangs hears nothing late, and what is told is of now.
 * It begins with a checksum, since one may read while the other writes.
 */
#include "gateway/sallyport/supervisor.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STATE_MAX ((size_t)128 * 1024)

void state_open(struct supervisor *s)
{
    char path[40];

    s->state = memfd_create("sallyport-state", MFD_CLOEXEC);
    if (s->state < 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", s->state);
    s->state_shown = open(path, O_RDONLY | O_CLOEXEC); /* dup() would let it be written by */
    (void)fchmod(s->state, 0400);                      /* nor can another uid open it anew */
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
    char at[40];

    if (!r->stands) {
        sp_jw_null(w, "refused");
        return;
    }
    sp_time_format_rfc3339(r->at_ms, at);
    sp_jw_object(w, "refused");
    if (r->generation != 0)
        sp_jw_int(w, "generation", (int64_t)r->generation);
    sp_jw_cstr(w, "at", at);
    sp_jw_cstr(w, "role", r->role);
    sp_jw_int(w, "index", r->index);
    sp_jw_cstr(w, "why", sp_rc_name(r->why));
    sp_jw_cstr(w, "detail", r->detail);
    sp_jw_end(w);
}

static void put_state(const struct supervisor *s, struct sp_buf *out)
{
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_int(&w, "generation", (int64_t)s->now->number);
    sp_jw_int(&w, "newest", (int64_t)s->newest);
    sp_jw_bool(&w, "accepted", s->now == s->accepted);
    put_refusal(&s->refusal, &w);
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

void state_write(const struct supervisor *s)
{
    struct sp_buf json, page;

    if (s->state < 0)
        return;
    sp_buf_init(&json, STATE_MAX);
    sp_buf_init(&page, STATE_MAX + 16);
    put_state(s, &json);
    sp_buf_printf(&page, "%08x", sp_crc32c(0, sp_buf_bytes(&json)));
    sp_buf_put(&page, sp_buf_bytes(&json));
    if (ftruncate(s->state, (off_t)page.len) != 0 ||
        pwrite(s->state, page.ptr, page.len, 0) != (ssize_t)page.len)
        sp_log_warn(s->log, "supervisor.state-unwritten", SP_INT("errno", errno));
    sp_buf_clear(&json);
    sp_buf_clear(&page);
}

void state_close(struct supervisor *s)
{
    if (s->state >= 0)
        close(s->state);
    if (s->state_shown >= 0)
        close(s->state_shown);
    s->state = s->state_shown = -1;
}
