/*
 * Sessions: read lines, ask, write the answers in the order of the questions and the file behind the last, close. A session that
 * goes away while questions are under way leaves them to end by themselves, since what they set going can't be called back.
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
    struct sp_admin *admin;
    struct sp_stream *stream;
    struct sp_timer *idle;
    struct ucred peer;
    struct sp_buf line;
    struct sp_list errands; /* not answered, in the order of the questions */
    size_t question_bytes;  /* of them */
    size_t in_hand;         /* they, and those whose answers have not gone out */
    size_t told;            /* of in_hand: answered */
    bool begun;             /* it has asked something */
    bool last;              /* its last question is asked */
    int fd;                 /* file to send, or -1 */
};

/* A question, and whose it is. */
struct errand {
    struct sp_list link; /* among all that are under way */
    struct sp_list turn; /* among its session's */
    struct sp_admin *admin;
    struct session *session;            /* NULL once it has gone */
    struct sp_admin_question *question; /* NULL: none is under way */
    size_t len;                         /* of the question's line */
    struct sp_buf answer;
    int fd;    /* behind the answer, or -1 */
    bool done; /* it may be told when those before it are */
    bool keep; /* the session stays */
};

struct sp_admin {
    struct sp_admin_parts parts;
    struct sp_listener *listener;
    struct sp_list sessions;
    struct sp_list errands;
    size_t session_count;
    size_t guests; /* of them */
    size_t busy;
    unsigned relays; /* that were ever seen */
    bool is_stopping;
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

int64_t sp_admin_patience_ms(const struct sp_admin *a)
{
    return a->parts.patience_ms > 0 ? a->parts.patience_ms : SP_ADMIN_PATIENCE_MS;
}

struct sp_loop *sp_admin_loop(const struct sp_admin *a)
{
    return a->parts.loop;
}

size_t sp_admin_busy(const struct sp_admin *a)
{
    return a->busy;
}

static bool is_trusted(const struct sp_admin *a, const struct ucred *peer)
{
    return peer->uid == 0 || peer->uid == a->parts.owner_uid;
}

static void free_errand(struct errand *errand)
{
    sp_list_remove(&errand->link);
    sp_list_remove(&errand->turn);
    if (errand->question != NULL)
        errand->admin->busy--;
    sp_admin_question_free(errand->question);
    if (errand->fd >= 0)
        close(errand->fd);
    sp_buf_wipe(&errand->answer);
    sp_free(errand);
}

static void end_session(struct session *s)
{
    struct sp_admin *a = s->admin;

    SP_LIST_EACH(node, &s->errands)
    {
        struct errand *errand = SP_CONTAINER(node, struct errand, turn);

        errand->session = NULL;
        sp_list_remove(&errand->turn);
        if (errand->done)
            free_errand(errand);
    }
    sp_list_remove(&s->link);
    a->guests -= !is_trusted(a, &s->peer);
    if (a->session_count-- == SP_ADMIN_SESSIONS_MAX && a->listener != NULL)
        sp_listener_hold(a->listener, false);
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

static struct errand *first_errand(const struct session *s)
{
    return sp_list_is_empty(&s->errands) ? NULL
                                         : SP_CONTAINER(s->errands.next, struct errand, turn);
}

/* Whether it is to be read no further: what it asked and does not take is memory, however little each is. */
static bool is_full(const struct session *s)
{
    return s->in_hand == SP_ADMIN_IN_HAND_MAX || s->question_bytes >= SP_ADMIN_LINE_MAX;
}

/* Tells what is known, in the order of the questions. */
static void tell(struct session *s)
{
    struct errand *next;

    while (s->fd < 0 && (next = first_errand(s)) != NULL && next->done) {
        sp_stream_write(s->stream, sp_buf_bytes(&next->answer));
        sp_stream_write(s->stream, SP_LIT("\n"));
        s->fd = next->fd;
        next->fd = -1;
        s->question_bytes -= next->len;
        s->told++;
        free_errand(next);
    }
    sp_timer_start(s->idle, IDLE_MS);
    if (s->last && s->fd < 0 && sp_list_is_empty(&s->errands))
        sp_stream_close_after_write(s->stream);
    else
        sp_stream_hold_input(s->stream, s->last || is_full(s));
}

/* Says of an answer that the session stays. */
static void put_keep(struct sp_buf *out)
{
    out->len--; /* } */
    sp_buf_put_cstr(out, ",\"keep\":true}");
}

static void end_errand(struct errand *errand)
{
    errand->keep = errand->keep && errand->fd < 0;
    if (errand->keep)
        put_keep(&errand->answer);
    errand->done = true;
}

static void answer_error(struct errand *errand, const char *error, struct sp_bytes detail)
{
    sp_admin_put_error(&errand->answer, error, detail);
    end_errand(errand);
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

static void on_done(void *arg, struct sp_admin_question *q)
{
    struct errand *errand = arg;
    struct session *s = errand->session;

    if (s == NULL) {
        free_errand(errand);
        return;
    }
    sp_admin_merge(q, &errand->answer, &errand->fd);
    put_file_len(&errand->answer, errand->fd);
    errand->question = NULL;
    errand->admin->busy--;
    sp_admin_question_free(q);
    end_errand(errand);
    tell(s);
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

/* For how long the supervisor has not written its page, which it does each second; one of a version before says nothing of it. */
static void set_silence(const struct sp_admin *a, struct sp_json_doc *state)
{
    int64_t now_ms = sp_clock_mono_ms(sp_loop_clock(a->parts.loop));
    int64_t alive_ms = sp_json_int_of(sp_json_root(state), "alive_ms", -1);

    if (alive_ms >= 0)
        sp_json_set_int(state, sp_json_root(state), "silent_ms",
                        now_ms > alive_ms ? now_ms - alive_ms : 0);
}

static void answer_state(struct errand *errand)
{
    SP_AUTO(sp_json_doc) state = sp_admin_state_read(errand->admin);

    if (state == NULL) {
        answer_error(errand, sp_rc_name(SP_E_UNSUPPORTED), SP_LIT("the supervisor shows nothing"));
        return;
    }
    set_silence(errand->admin, state);
    sp_admin_put_result(sp_json_root(state), 0, &errand->answer);
    end_errand(errand);
}

/* json: taken */
static void ask_roles(struct errand *errand, struct sp_json_doc *json)
{
    struct sp_admin *a = errand->admin;
    struct sp_buf actor;

    sp_buf_init(&actor, 1024);
    put_actor(errand->session, &actor);
    errand->question = sp_admin_ask(a, json, sp_buf_bytes(&actor), on_done, errand);
    if (errand->question != NULL)
        a->busy++;
    else
        answer_error(errand, sp_rc_name(SP_E_UNSUPPORTED), SP_LIT("there is no such command"));
    sp_buf_clear(&actor);
}

static void ask(struct errand *errand, struct sp_bytes line)
{
    const struct session *s = errand->session;
    struct sp_admin *a = errand->admin;
    struct sp_json_doc *json;
    struct sp_bytes command;

    if (sp_json_parse(line, NULL, &json, NULL) != SP_OK) {
        answer_error(errand, sp_rc_name(SP_E_MALFORMED), SP_LIT("a question is one JSON object"));
        return;
    }
    command = sp_json_text_of(sp_json_root(json), "command");
    if (!may_ask(s, command)) {
        sp_json_doc_free(json);
        sp_log_warn(a->parts.log, "admin.refused", SP_INT("uid", s->peer.uid));
        answer_error(errand, sp_rc_name(SP_E_DENIED), SP_LIT("this user may not ask that"));
        return;
    }
    errand->keep = !a->is_stopping && sp_bytes_starts_nocase(command, SP_LIT("queue.")) &&
                   sp_json_bool_of(sp_json_root(json), "keep", false);
    if (!is_trusted(a, &s->peer) && a->parts.limit != NULL)
        a->parts.limit(a->parts.arg, s->peer.uid, json);
    if (!sp_bytes_eq(command, SP_LIT("gateway.state"))) {
        ask_roles(errand, json);
        return;
    }
    sp_json_doc_free(json);
    answer_state(errand);
}

static struct errand *add_errand(struct session *s, size_t len)
{
    struct errand *errand = sp_calloc(1, sizeof(*errand));

    errand->admin = s->admin;
    errand->session = s;
    errand->fd = -1;
    errand->len = len;
    sp_buf_init(&errand->answer, ANSWER_MAX);
    sp_list_append(&s->admin->errands, &errand->link);
    sp_list_append(&s->errands, &errand->turn);
    s->question_bytes += len;
    s->in_hand++;
    return errand;
}

static void on_input(void *arg)
{
    struct session *s = arg;
    size_t end = 0;

    while (end != SIZE_MAX && !s->last && !is_full(s)) {
        struct sp_bytes input = sp_stream_input(s->stream);
        struct errand *errand;

        end = sp_bytes_find(input, '\n');
        sp_buf_put(&s->line, sp_bytes_slice(input, 0, end));
        sp_stream_consume(s->stream, end == SIZE_MAX ? input.len : end + 1);
        if (end == SIZE_MAX && sp_buf_rc(&s->line) == SP_OK)
            break;
        errand = add_errand(s, s->line.len);
        s->begun = true;
        if (sp_buf_rc(&s->line) == SP_OK)
            ask(errand, sp_buf_bytes(&s->line));
        else
            answer_error(errand, sp_rc_name(SP_E_LIMIT), SP_LIT("the question is too long"));
        sp_buf_wipe(&s->line);
        sp_buf_init(&s->line, SP_ADMIN_LINE_MAX);
        s->last = !errand->keep;
    }
    tell(s);
}

static void on_drained(void *arg)
{
    struct session *s = arg;

    s->in_hand -= s->told;
    s->told = 0;
    tell(s);
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
    struct session *s = arg;

    if (!sp_list_is_empty(&s->errands)) /* it is not who asks that takes so long */
        sp_timer_start(s->idle, IDLE_MS);
    else
        end_session(s);
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

static bool has_room(const struct sp_admin *a, const struct ucred *peer)
{
    return is_trusted(a, peer) || a->guests < SP_ADMIN_GUESTS_MAX;
}

static void on_accept(void *arg, int fd, const struct sp_addr *from)
{
    struct sp_admin *a = arg;
    struct ucred peer = {0};
    struct session *s;

    (void)from;
    if (!may_connect(a, fd, &peer)) {
        sp_log_warn(a->parts.log, "admin.refused", SP_INT("uid", peer.uid));
        close(fd);
        return;
    }
    if (!has_room(a, &peer)) {
        sp_stream_dismiss(a->parts.loop, fd,
                          SP_LIT("{\"ok\":false,\"error\":\"limit\",\"detail\":\"too many "
                                 "questions at a time: repeat in a moment\"}\n"));
        return;
    }
    s = sp_calloc(1, sizeof(*s));
    s->admin = a;
    s->peer = peer;
    s->fd = -1;
    sp_list_init(&s->errands);
    sp_buf_init(&s->line, SP_ADMIN_LINE_MAX);
    s->stream = sp_stream_new(a->parts.loop, fd, &events, s);
    s->idle = sp_timer_new(a->parts.loop, on_idle, s);
    sp_timer_start(s->idle, IDLE_MS);
    sp_list_append(&a->sessions, &s->link);
    a->guests += !is_trusted(a, &peer);
    if (++a->session_count == SP_ADMIN_SESSIONS_MAX) /* who comes now waits for one that ends */
        sp_listener_hold(a->listener, true);
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
    a->is_stopping = true;
    if (a->listener != NULL)
        sp_listener_free(SP_STEAL(a->listener));
    SP_LIST_EACH(node, &a->sessions)
    {
        struct session *s = SP_CONTAINER(node, struct session, link);

        s->last = s->begun; /* who has just come may ask */
        tell(s);
    }
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
        free_errand(SP_CONTAINER(work, struct errand, link));
    }
    sp_free(a);
}
