/*
 * Sessions: read one line, ask, write the answer and the file behind it, close. A session that goes away while its
 * question is under way leaves the question to end by itself, since what it set going can't be called back.
 */
#include "admin/admin.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/admin_priv.h"
#include "base/fault.h"
#include "base/text.h"
#include "io/stream.h"

#define FILE_BLOCK 65536
#define IDLE_MS    60000
#define ANSWER_MAX ((size_t)32 << 20)

struct session {
    struct sp_list link;
    sp_handle handle;
    struct sp_admin *admin;
    struct sp_stream *stream;
    struct sp_timer *idle;
    struct ucred peer;
    struct sp_buf line;
    bool asked;
    int fd; /* file to send, or -1 */
};

/* A question that is under way, and whose it was. */
struct errand {
    struct sp_list link;
    struct sp_admin *admin;
    struct sp_admin_question *question;
    sp_handle session; /* stale once the session has gone */
};

struct sp_admin {
    struct sp_admin_parts parts;
    struct sp_listener *listener;
    struct sp_list sessions;
    struct sp_list errands;
    struct sp_slots *slots;
    size_t session_count;
    size_t busy;
    unsigned relays; /* that were ever seen */
};

struct sp_jobs *sp_admin_jobs(const struct sp_admin *a)
{
    return a->parts.jobs;
}

unsigned sp_admin_relays(const struct sp_admin *a)
{
    return a->relays;
}

int64_t sp_admin_answer_ms(const struct sp_admin *a)
{
    return a->parts.answer_ms > 0 ? a->parts.answer_ms : SP_ADMIN_ANSWER_MS;
}

size_t sp_admin_busy(const struct sp_admin *a)
{
    return a->busy;
}

static void end_session(struct session *s)
{
    sp_list_remove(&s->link);
    (void)sp_slots_remove(s->admin->slots, s->handle);
    s->admin->session_count--;
    sp_stream_free(s->stream);
    sp_timer_free(s->idle);
    sp_buf_wipe(&s->line);
    if (s->fd >= 0)
        close(s->fd);
    sp_free(s);
}

/* The next block of the file, or the end. */
static void send_more(struct session *s)
{
    uint8_t *block;
    ssize_t n = 0;

    if (s->fd >= 0) {
        block = sp_malloc(FILE_BLOCK);
        n = SP_FAULT("admin.read") ? -1 : read(s->fd, block, FILE_BLOCK);
        if (n > 0)
            sp_stream_write(s->stream, sp_bytes(block, (size_t)n));
        sp_free(block);
    }
    if (n <= 0)
        sp_stream_close_after_write(s->stream);
}

static void answer(struct session *s, struct sp_bytes line, int fd)
{
    s->fd = fd;
    sp_stream_write(s->stream, line);
    sp_stream_write(s->stream, SP_LIT("\n"));
    if (fd < 0)
        sp_stream_close_after_write(s->stream);
}

static void answer_error(struct session *s, const char *error, struct sp_bytes detail)
{
    struct sp_buf out;

    sp_buf_init(&out, ANSWER_MAX);
    sp_admin_put_error(&out, error, detail);
    answer(s, sp_buf_bytes(&out), -1);
    sp_buf_clear(&out);
}

/* Puts the length of the file into the answer that was made without it. */
static void put_file_len(struct sp_buf *out, int fd)
{
    static const char none[] = "\"file_len\":0}";
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0 || out->len < sizeof(none) - 1)
        return;
    out->len -= 2; /* 0} */
    sp_buf_put_dec(out, st.st_size);
    sp_buf_put_u8(out, '}');
}

static void end_errand(struct errand *errand)
{
    sp_list_remove(&errand->link);
    errand->admin->busy--;
    sp_admin_question_free(errand->question);
    sp_free(errand);
}

static void on_done(void *arg, struct sp_admin_question *q)
{
    struct errand *errand = arg;
    struct session *s = sp_slots_find(errand->admin->slots, errand->session);
    struct sp_buf out;
    int fd = -1;

    if (s != NULL) {
        sp_buf_init(&out, ANSWER_MAX);
        sp_admin_merge(q, &out, &fd);
        put_file_len(&out, fd);
        answer(s, sp_buf_bytes(&out), fd);
        sp_buf_wipe(&out);
    }
    end_errand(errand);
}

static void put_actor(const struct session *s, struct sp_buf *out)
{
    struct sp_buf id;
    struct sp_jw w;

    sp_buf_init(&id, 64);
    sp_buf_printf(&id, "uid:%lu", (unsigned long)s->peer.uid);
    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    sp_jw_cstr(&w, "type", "admin");
    sp_jw_text(&w, "id", sp_buf_bytes(&id));
    sp_jw_cstr(&w, "auth", "unix-peer-credentials");
    sp_jw_end(&w);
    sp_buf_clear(&id);
}

static bool is_trusted(const struct sp_admin *a, const struct ucred *peer)
{
    return peer->uid == 0 || peer->uid == a->parts.owner_uid;
}

static bool may_ask(const struct session *s, struct sp_bytes command)
{
    const struct sp_admin *a = s->admin;

    return is_trusted(a, &s->peer) || (a->parts.may_ask != NULL && command.len > 0 &&
                                       a->parts.may_ask(a->parts.arg, s->peer.uid, command));
}

int sp_admin_state_fd(const struct sp_admin *a)
{
    return a->parts.state_fd;
}

static void answer_state(struct session *s)
{
    SP_AUTO(sp_json_doc) state = sp_admin_state_read(s->admin);
    struct sp_buf out;

    if (state == NULL) {
        answer_error(s, sp_rc_name(SP_E_UNSUPPORTED), SP_LIT("the supervisor shows nothing"));
        return;
    }
    sp_buf_init(&out, ANSWER_MAX);
    sp_admin_put_result(sp_json_root(state), 0, &out);
    answer(s, sp_buf_bytes(&out), -1);
    sp_buf_clear(&out);
}

static void ask(struct session *s, struct sp_bytes line)
{
    struct sp_admin *a = s->admin;
    struct sp_json_doc *json;
    struct errand *errand;
    struct sp_buf actor;

    s->asked = true;
    sp_stream_hold_input(s->stream, true);
    if (sp_json_parse(line, NULL, &json, NULL) != SP_OK) {
        answer_error(s, sp_rc_name(SP_E_MALFORMED), SP_LIT("a question is one JSON object"));
        return;
    }
    if (!may_ask(s, sp_json_text_of(sp_json_root(json), "command"))) {
        sp_json_doc_free(json);
        sp_log_warn(a->parts.log, "admin.refused", SP_INT("uid", s->peer.uid));
        answer_error(s, sp_rc_name(SP_E_DENIED), SP_LIT("this user may not ask that"));
        return;
    }
    if (!is_trusted(a, &s->peer) && a->parts.limit != NULL)
        a->parts.limit(a->parts.arg, s->peer.uid, json);
    if (sp_bytes_eq(sp_json_text_of(sp_json_root(json), "command"), SP_LIT("gateway.state"))) {
        sp_json_doc_free(json);
        answer_state(s);
        return;
    }
    errand = sp_calloc(1, sizeof(*errand));
    errand->admin = a;
    errand->session = s->handle;
    sp_buf_init(&actor, 1024);
    put_actor(s, &actor);
    errand->question = sp_admin_ask(a, json, sp_buf_bytes(&actor), on_done, errand);
    if (errand->question != NULL) {
        sp_list_append(&a->errands, &errand->link);
        a->busy++;
    } else {
        sp_free(errand);
        answer_error(s, sp_rc_name(SP_E_UNSUPPORTED), SP_LIT("there is no such command"));
    }
    sp_buf_clear(&actor);
}

static void on_input(void *arg)
{
    struct session *s = arg;
    struct sp_bytes input = sp_stream_input(s->stream);
    size_t end = sp_bytes_find(input, '\n');

    if (s->asked)
        return;
    sp_buf_put(&s->line, sp_bytes_slice(input, 0, end));
    sp_stream_consume(s->stream, end == SIZE_MAX ? input.len : end + 1);
    if (sp_buf_rc(&s->line) != SP_OK) {
        s->asked = true;
        sp_stream_hold_input(s->stream, true);
        answer_error(s, sp_rc_name(SP_E_LIMIT), SP_LIT("the question is too long"));
    } else if (end != SIZE_MAX) {
        ask(s, sp_buf_bytes(&s->line));
    }
}

static void on_drained(void *arg)
{
    struct session *s = arg;

    if (s->fd >= 0)
        send_more(s);
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    end_session(arg);
}

static void on_idle(void *arg)
{
    end_session(arg);
}

static const struct sp_stream_events events = {
    .on_input = on_input, .on_drained = on_drained, .on_closed = on_closed};

static bool may_connect(const struct sp_admin *a, int fd, struct ucred *peer)
{
    socklen_t len = sizeof(*peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &len) != 0 || len != sizeof(*peer))
        return false;
    return is_trusted(a, peer) ||
           (a->parts.may_ask != NULL && a->parts.may_ask(a->parts.arg, peer->uid, SP_LIT("")));
}

static void on_accept(void *arg, int fd, const struct sp_addr *from)
{
    struct sp_admin *a = arg;
    struct ucred peer = {0};
    struct session *s;

    (void)from;
    if (a->session_count >= SP_ADMIN_SESSIONS_MAX || !may_connect(a, fd, &peer)) {
        sp_log_warn(a->parts.log, "admin.refused", SP_INT("uid", peer.uid));
        close(fd);
        return;
    }
    s = sp_calloc(1, sizeof(*s));
    s->admin = a;
    s->peer = peer;
    s->fd = -1;
    sp_buf_init(&s->line, SP_ADMIN_LINE_MAX);
    s->handle = sp_slots_add(a->slots, s);
    s->stream = sp_stream_new(a->parts.loop, fd, &events, s);
    s->idle = sp_timer_new(a->parts.loop, on_idle, s);
    sp_timer_start(s->idle, IDLE_MS);
    sp_list_append(&a->sessions, &s->link);
    a->session_count++;
}

static void on_peer(void *arg, enum sp_role_kind role, unsigned index, bool up)
{
    struct sp_admin *a = arg;

    if (up && role == SP_ROLE_RELAY && index >= a->relays)
        a->relays = index + 1;
}

struct sp_admin *sp_admin_new(const struct sp_admin_parts *parts)
{
    struct sp_admin *a = sp_calloc(1, sizeof(*a));
    unsigned index;
    size_t at = 0;

    a->parts = *parts;
    a->slots = sp_slots_new();
    sp_list_init(&a->sessions);
    sp_list_init(&a->errands);
    sp_jobs_watch_peers(parts->jobs, on_peer, a);
    while (sp_jobs_peer_next(parts->jobs, SP_ROLE_RELAY, &at, &index))
        on_peer(a, SP_ROLE_RELAY, index, true);
    return a;
}

void sp_admin_listen(struct sp_admin *a, int fd)
{
    sp_assert(a->listener == NULL);
    a->listener = sp_listener_new(a->parts.loop, fd, on_accept, a);
}

void sp_admin_stop(struct sp_admin *a)
{
    if (a->listener != NULL)
        sp_listener_free(SP_STEAL(a->listener));
}

void sp_admin_free(struct sp_admin *a)
{
    if (a == NULL)
        return;
    sp_admin_stop(a);
    SP_LIST_EACH(node, &a->sessions)
    {
        end_session(SP_CONTAINER(node, struct session, link));
    }
    SP_LIST_EACH(work, &a->errands)
    {
        end_errand(SP_CONTAINER(work, struct errand, link));
    }
    sp_slots_free(a->slots);
    sp_free(a);
}
