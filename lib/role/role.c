/*
 * A role's life: wait for START and GO on descriptor 3, close the sandbox, start, run, stop. Frames that come before GO
 * (listeners, peers) are kept. The end of the channel is a clean stop with a short limit: the supervisor is gone, nobody
 * would start a new one beside it, and what is durable is durable. SIGALRM ends a stop that hangs, whatever the loop does.
 */
#include "role/role.h"

#include "base/fault.h"
#include "role/bundle.h"
#include "role/control.h"
#include "role/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#define LISTENERS_MAX   256
#define ORPHAN_STOP_S   5
#define DESCRIPTORS_MAX 65536

struct listener {
    char *name;
    int fd;
};

struct peer {
    struct sp_role_peer who;
    int fd;
};

struct sp_role {
    const struct sp_role_ops *ops;
    void *state;
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_ipc *channel;
    struct sp_signal *term;
    struct sp_role_bundle *bundle;
    struct sp_buf start_bytes; /* what start's texts point into */
    struct sp_role_start start;
    char *state_dir;
    char **dirs;
    struct listener listeners[LISTENERS_MAX];
    size_t listener_count;
    struct peer *early; /* peers that came before GO */
    size_t early_count;
    bool started, stopping, handover;
    int exit_code;
};

struct sp_loop *sp_role_loop(const struct sp_role *role)
{
    return role->loop;
}

struct sp_log *sp_role_log(const struct sp_role *role)
{
    return role->log;
}

unsigned sp_role_index(const struct sp_role *role)
{
    return role->start.index;
}

unsigned sp_role_count(const struct sp_role *role)
{
    return role->start.count;
}

uint64_t sp_role_generation(const struct sp_role *role)
{
    return role->start.generation;
}

const char *sp_role_dir(const struct sp_role *role)
{
    return role->start.dir_count == 0 ? "" : role->dirs[0];
}

const char *sp_role_dir_next(const struct sp_role *role, size_t *at)
{
    return *at < role->start.dir_count ? role->dirs[(*at)++] : NULL;
}

const char *sp_role_state_dir(const struct sp_role *role)
{
    return role->state_dir;
}

struct sp_bytes sp_role_file(const struct sp_role *role, const char *name)
{
    return sp_role_bundle_find(role->bundle, sp_bytes_cstr(name));
}

bool sp_role_file_next(const struct sp_role *role, const char *prefix, size_t *at,
                       struct sp_bytes *name, struct sp_bytes *data)
{
    struct sp_bytes want = sp_bytes_cstr(prefix);

    while (sp_role_bundle_next(role->bundle, at, name, data)) {
        if (sp_bytes_eq(sp_bytes_slice(*name, 0, want.len), want))
            return true;
    }
    return false;
}

bool sp_role_listener_next(const struct sp_role *role, size_t *at, const char **name, int *fd)
{
    if (*at >= role->listener_count)
        return false;
    *name = role->listeners[*at].name;
    *fd = role->listeners[*at].fd;
    (*at)++;
    return true;
}

static void leave(struct sp_role *role, int code)
{
    role->exit_code = code;
    sp_loop_stop(role->loop);
}

static void send_frame(struct sp_role *role, enum sp_role_frame type, uint64_t id,
                       const struct sp_role_result *result)
{
    struct sp_buf payload;
    struct sp_ipc_frame frame = {.type = (uint16_t)type, .id = id};

    sp_buf_init(&payload, 4096);
    if (result != NULL)
        sp_role_result_encode(&payload, result);
    frame.payload = sp_buf_bytes(&payload);
    if (role->channel != NULL && sp_ipc_send(role->channel, &frame) != SP_OK) {
        sp_log_warn(role->log, "role.untold", SP_INT("frame", type));
        leave(role, EXIT_FAILURE); /* the supervisor waits for that word: a new process says it */
    }
    sp_buf_clear(&payload);
}

void sp_role_peer_faulty(void *arg, enum sp_role_kind kind, unsigned index, enum sp_rc why)
{
    struct sp_role *role = arg;
    const struct sp_role_peer peer = {.kind = kind, .index = index};
    struct sp_ipc_frame frame = {.type = why == SP_E_IPC_FRAME ? SP_ROLE_FRAME_FAULTY
                                                               : SP_ROLE_FRAME_LOST};
    struct sp_buf payload;

    sp_buf_init(&payload, 100);
    sp_role_peer_encode(&payload, &peer);
    frame.payload = sp_buf_bytes(&payload);
    if (role->channel != NULL && sp_ipc_send(role->channel, &frame) != SP_OK) {
        sp_log_warn(role->log, "role.untold", SP_INT("frame", frame.type));
        leave(role,
              EXIT_FAILURE); /* it would never speak with that peer again: a new process does */
    }
    sp_buf_clear(&payload);
}

bool sp_role_is_handed_over(const struct sp_role *role)
{
    return role->handover;
}

void sp_role_stopped(struct sp_role *role)
{
    send_frame(role, SP_ROLE_FRAME_STOPPED, 0, NULL);
    leave(role, EXIT_SUCCESS);
}

void sp_role_fail(struct sp_role *role, const struct sp_err *err)
{
    const struct sp_role_result result = {.rc = err->rc, .text = sp_bytes_cstr(err->text)};

    sp_log_error(role->log, "role.failed", SP_RC("why", err->rc), SP_TEXT("detail", err->text));
    send_frame(role, SP_ROLE_FRAME_FAILED, 0, &result);
    leave(role, EXIT_FAILURE);
}

static void stop(struct sp_role *role, unsigned limit_s)
{
    if (role->stopping)
        return;
    role->stopping = true;
    alarm(limit_s);
    if (role->started)
        role->ops->stop(role, role->state);
    else
        sp_role_stopped(role);
}

static void on_term(void *arg)
{
    stop(arg, SP_ROLE_STOP_MS / 1000);
}

static void on_closed(void *arg, enum sp_rc why)
{
    struct sp_role *role = arg;

    sp_log_warn(role->log, "role.alone", SP_RC("why", why));
    sp_ipc_free(role->channel);
    role->channel = NULL;
    stop(role, ORPHAN_STOP_S);
}

static enum sp_rc take_bundle(struct sp_role *role, struct sp_role_bundle **out, struct sp_err *err)
{
    int fd = sp_ipc_take_fd(role->channel, 0);
    enum sp_rc rc = fd < 0 ? SP_E_MALFORMED : sp_role_bundle_from_memfd(fd, out);

    if (fd >= 0)
        close(fd);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "bundle of files");
}

static void on_start(struct sp_role *role, const struct sp_ipc_frame *frame)
{
    struct sp_err err = {0};

    if (role->bundle != NULL || take_bundle(role, &role->bundle, &err) != SP_OK) {
        sp_role_fail(role, &err);
        return;
    }
    sp_buf_put(&role->start_bytes, frame->payload);
    if (sp_role_start_decode(sp_buf_bytes(&role->start_bytes), &role->start) != SP_OK ||
        role->start.kind != role->ops->kind) {
        sp_fail(&err, SP_E_ROLE_START, "start frame is not for this role");
        sp_role_fail(role, &err);
        return;
    }
    role->state_dir = sp_strdup_bytes(role->start.state_dir);
    role->dirs = sp_calloc(role->start.dir_count + 1, sizeof(*role->dirs));
    for (size_t i = 0; i < role->start.dir_count; i++)
        role->dirs[i] = sp_strdup_bytes(role->start.dirs[i]);
    sp_log_free(role->log);
    role->log = sp_log_new(STDERR_FILENO, sp_ipc_role_name(role->ops->kind), role->start.log_level,
                           sp_loop_clock(role->loop));
}

static void on_listener(struct sp_role *role, const struct sp_ipc_frame *frame)
{
    int fd = sp_ipc_take_fd(role->channel, 0);

    if (fd < 0)
        return;
    if (role->listener_count == LISTENERS_MAX) {
        close(fd);
        return;
    }
    role->listeners[role->listener_count].name = sp_strdup_bytes(frame->payload);
    role->listeners[role->listener_count++].fd = fd;
}

static void on_peer(struct sp_role *role, const struct sp_ipc_frame *frame)
{
    struct peer peer = {.fd = sp_ipc_take_fd(role->channel, 0)};

    if (peer.fd < 0)
        return;
    if (sp_role_peer_decode(frame->payload, &peer.who) != SP_OK || role->ops->on_peer == NULL ||
        role->stopping) {
        close(peer.fd);
    } else if (role->started) {
        role->ops->on_peer(role->state, peer.who.kind, peer.who.index, peer.fd);
    } else {
        role->early = sp_realloc(role->early, (role->early_count + 1) * sizeof(*role->early));
        role->early[role->early_count++] = peer;
    }
}

static void on_go(struct sp_role *role)
{
    struct sp_role_sandbox_state sandbox;
    struct sp_err err = {0};

    if (role->started || role->bundle == NULL)
        return;
    if (sp_role_sandbox_enter(&role->start, &sandbox, &err) != SP_OK ||
        role->ops->start(role, &role->state, &err) != SP_OK) {
        sp_role_fail(role, &err);
        return;
    }
    role->started = true;
    sp_log_info(role->log, "role.started", SP_INT("index", role->start.index),
                SP_INT("generation", role->start.generation),
                SP_INT("landlock", sandbox.landlock_abi), SP_BOOL("locked", sandbox.locked));
    send_frame(role, SP_ROLE_FRAME_READY, 0, NULL);
    for (size_t i = 0; role->ops->on_peer != NULL && i < role->early_count; i++) {
        const struct peer *p = &role->early[i];

        role->ops->on_peer(role->state, p->who.kind, p->who.index, p->fd);
    }
    role->early_count = 0;
}

static void on_reload(struct sp_role *role, const struct sp_ipc_frame *frame)
{
    struct sp_role_bundle *old = role->bundle, *fresh = NULL;
    uint64_t old_generation = role->start.generation;
    struct sp_err err = {0};
    struct sp_role_result result = {0};

    result.rc = take_bundle(role, &fresh, &err);
    if (result.rc == SP_OK && role->ops->on_reload == NULL) {
        result.rc = sp_fail(&err, SP_E_UNSUPPORTED, "this role is restarted to reload");
    } else if (result.rc == SP_OK) {
        role->bundle = fresh;
        role->start.generation = frame->id;
        result.rc = role->ops->on_reload(role, role->state, &err);
        fresh = result.rc == SP_OK ? old : fresh;
    }
    if (result.rc != SP_OK) {
        role->bundle = old;
        role->start.generation = old_generation;
    }
    sp_role_bundle_free(fresh);
    result.text = sp_bytes_cstr(err.text);
    sp_log_info(role->log, "role.reloaded", SP_INT("generation", role->start.generation),
                SP_RC("result", result.rc));
    send_frame(role, SP_ROLE_FRAME_RELOADED, frame->id, &result);
}

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct sp_role *role = arg;

    switch (frame->type) {
    case SP_ROLE_FRAME_START:
        on_start(role, frame);
        break;
    case SP_ROLE_FRAME_LISTENER:
        on_listener(role, frame);
        break;
    case SP_ROLE_FRAME_PEER:
        on_peer(role, frame);
        break;
    case SP_ROLE_FRAME_GO:
        on_go(role);
        break;
    case SP_ROLE_FRAME_RELOAD:
        if (role->started && !role->stopping)
            on_reload(role, frame);
        break;
    case SP_ROLE_FRAME_STOP:
        role->handover = frame->id == SP_ROLE_STOP_HANDOVER;
        stop(role, SP_ROLE_STOP_MS / 1000);
        break;
    default:
        sp_log_warn(role->log, "role.frame-unknown", SP_INT("frame", frame->type));
    }
}

/* Signals and limits that every role wants. SIGINT from a terminal goes to the whole group: the supervisor decides. */
static void settle(enum sp_role_kind kind)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct rlimit files;

    (void)sigaction(SIGINT, &ignore, NULL);
    (void)sigaction(SIGHUP, &ignore, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    SP_NONSENSE_LISTEN();
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if ((kind == SP_ROLE_RELAY || kind == SP_ROLE_PORTAL || kind == SP_ROLE_FETCHER) &&
        getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < DESCRIPTORS_MAX ? files.rlim_max : DESCRIPTORS_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
}

static void role_clear(struct sp_role *role)
{
    if (role->state != NULL && role->ops->free != NULL)
        role->ops->free(role->state);
    for (size_t i = 0; i < role->early_count; i++)
        close(role->early[i].fd);
    sp_free(role->early);
    for (size_t i = 0; i < role->listener_count; i++) {
        close(role->listeners[i].fd);
        sp_free(role->listeners[i].name);
    }
    for (size_t i = 0; role->dirs != NULL && role->dirs[i] != NULL; i++)
        sp_free(role->dirs[i]);
    sp_free(role->dirs);
    sp_free(role->state_dir);
    sp_signal_free(role->term);
    sp_ipc_free(role->channel);
    sp_role_bundle_free(role->bundle);
    sp_buf_clear(&role->start_bytes);
    sp_loop_free(role->loop);
    sp_log_free(role->log);
}

int sp_role_main(const struct sp_role_ops *ops)
{
    static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};
    struct sp_role role = {.ops = ops, .exit_code = EXIT_FAILURE};

    if (fcntl(SP_ROLE_CHANNEL_FD, F_SETFD, FD_CLOEXEC) != 0 ||
        fcntl(SP_ROLE_CHANNEL_FD, F_SETFL, O_NONBLOCK) != 0) {
        static const char text[] = "this program is started by `sallyport serve`, not by hand\n";

        (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
        return EXIT_FAILURE;
    }
    settle(ops->kind);
    role.loop = sp_loop_new();
    role.log = sp_log_new(STDERR_FILENO, sp_ipc_role_name(ops->kind), SP_LOG_INFO,
                          sp_loop_clock(role.loop));
    sp_buf_init(&role.start_bytes, SP_IPC_PAYLOAD_MAX);
    role.channel = sp_ipc_new(role.loop, SP_ROLE_CHANNEL_FD, &events, &role);
    role.term = sp_signal_new(role.loop, SIGTERM, on_term, &role);
    sp_loop_run(role.loop);
    role_clear(&role);
    return role.exit_code;
}
