/*
 * The processes: started with all they need, joined to those they speak with, started anew when they end. A role that
 * ends at once waits longer each time, up to ten seconds; one that ran well for ten seconds is back after a tenth.
 *
 * A child has one reload under way at a time: what comes meanwhile is told when it has answered, the newest alone, so that
 * a storm of signals makes no queue of work in a relay that has sessions to serve. One that finds the same files in the
 * new generation as in its own is left alone, unless it reads the system's trust anchors too. Whether a new generation stays
 * is trial.c's matter.
 */
#include "gateway/sallyport/supervisor.h"

#include "role/process.h"
#include "role/role.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(struct child *c);

static bool runs(const struct child *c)
{
    return c->pid != 0;
}

static void send_frame(struct child *c, uint16_t type, uint64_t id, struct sp_bytes payload, int fd)
{
    const struct sp_ipc_frame frame = {
        .type = type, .id = id, .payload = payload, .fds = &fd, .fd_count = fd >= 0 ? 1 : 0};
    enum sp_rc rc = c->channel == NULL ? SP_E_CLOSED : sp_ipc_send(c->channel, &frame);

    if (rc == SP_OK)
        return;
    sp_log_warn(c->s->log, "supervisor.untold", SP_TEXT("role", sp_ipc_role_name(c->kind)),
                SP_INT("index", c->index), SP_RC("why", rc));
    if (rc != SP_E_CLOSED && runs(c)) /* it would wait for this for ever: a new one hears all */
        (void)kill(c->pid, SIGKILL);
}

static unsigned count_of(const struct supervisor *s, enum sp_role_kind kind)
{
    unsigned count = 0;

    for (size_t i = 0; i < s->child_count; i++)
        count += s->children[i].kind == kind;
    return count;
}

static enum sp_log_level level_of(const struct sp_config *config)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};

    for (size_t i = 0; i < SP_ARRAY_LEN(names); i++) {
        if (strcmp(config->log.level, names[i]) == 0)
            return (enum sp_log_level)i;
    }
    return SP_LOG_INFO;
}

static void send_start(struct child *c)
{
    const struct supervisor *s = c->s;
    char(*paths)[PATH_LEN_MAX] = sp_calloc(SP_ROLE_DIRS_MAX, sizeof(*paths));
    struct sp_role_start *info = sp_calloc(1, sizeof(*info));
    char spool[PATH_LEN_MAX + 40];
    struct sp_buf payload;

    *info = (struct sp_role_start){.kind = c->kind,
                                   .index = c->index,
                                   .count = count_of(s, c->kind),
                                   .generation = s->now->number,
                                   .log_level = level_of(s->now->config),
                                   .state_dir = sp_bytes_cstr(s->now->state_dir)};
    info->dir_count = folders_of(s, c, paths, SP_ROLE_DIRS_MAX);
    for (size_t i = 0; i < info->dir_count; i++)
        info->dirs[i] = sp_bytes_cstr(paths[i]);
    if (c->kind == SP_ROLE_LEDGER) {
        snprintf(spool, sizeof(spool), "%s/spool", s->now->state_dir);
        info->grants[info->grant_count++].path = sp_bytes_cstr(spool);
    }
    sp_buf_init(&payload, SP_IPC_PAYLOAD_MAX);
    sp_role_start_encode(&payload, info);
    send_frame(c, SP_ROLE_FRAME_START, 0, sp_buf_bytes(&payload), s->now->bundles[c->kind]);
    sp_buf_clear(&payload);
    sp_free(info);
    sp_free(paths);
}

static void send_peer(struct child *to, const struct child *about, int fd)
{
    const struct sp_role_peer peer = {.kind = about->kind, .index = about->index};
    struct sp_buf payload;

    sp_buf_init(&payload, 100);
    sp_role_peer_encode(&payload, &peer);
    send_frame(to, SP_ROLE_FRAME_PEER, 0, sp_buf_bytes(&payload), fd);
    sp_buf_clear(&payload);
}

static void join(struct child *a, struct child *b)
{
    struct sp_err err;
    int fds[2];

    if (sp_ipc_pair(fds, &err) != SP_OK) {
        sp_log_error(a->s->log, "supervisor.no-pair", SP_TEXT("detail", err.text));
        (void)kill(a->pid, SIGKILL); /* the next one gets all its peers */
        return;
    }
    send_peer(a, b, fds[0]);
    send_peer(b, a, fds[1]);
    close(fds[0]);
    close(fds[1]);
}

/* Whoever starts gets all its channels: none is missed any more. */
static void forget_lost(struct child *c)
{
    struct supervisor *s = c->s;

    memset(c->lost, 0, sizeof(c->lost));
    for (size_t i = 0; i < s->child_count; i++)
        s->children[i].lost[c - s->children] = false;
}

static void introduce(struct child *c)
{
    struct supervisor *s = c->s;

    forget_lost(c);
    send_start(c);
    for (size_t i = 0; i < s->listening_count; i++) {
        const struct listening *l = &s->listening[i];

        if (l->kind == c->kind && l->index == c->index)
            send_frame(c, SP_ROLE_FRAME_LISTENER, 0, sp_bytes_cstr(l->name), l->fd);
    }
    if (c->kind == SP_ROLE_ADMIN && s->state_shown >= 0)
        send_frame(c, SP_ROLE_FRAME_LISTENER, 0, SP_LIT("state"), s->state_shown);
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *other = &s->children[i];

        if (other != c && runs(other) && other->state != CHILD_ENDING &&
            sp_ipc_roles_talk(c->kind, other->kind))
            join(c, other);
    }
    send_frame(c, SP_ROLE_FRAME_GO, 0, sp_bytes(NULL, 0), -1);
}

static void tell_generation(struct child *c)
{
    const struct generation *now = c->s->now;

    if ((c->state != CHILD_STARTING && c->state != CHILD_READY) || c->reloading ||
        trial_leaves(c->s))
        return;
    if (!c->again && (c->generation == now->number || c->refused == now->number || trial_waits(c)))
        return;
    c->again = false;
    c->reloading = true;
    c->generation = now->number;
    send_frame(c, SP_ROLE_FRAME_RELOAD, now->number, sp_bytes(NULL, 0), now->bundles[c->kind]);
}

static void on_reloaded(struct child *c, const struct sp_ipc_frame *frame)
{
    struct sp_role_result result = {.rc = SP_E_MALFORMED};

    c->reloading = false;
    if (c->s->stopping)
        return; /* it ends in its turn */
    if (sp_role_result_decode(frame->payload, &result) != SP_OK)
        result = (struct sp_role_result){.rc = SP_E_MALFORMED};
    if (result.rc == SP_OK) {
        trial_took(c, frame->id);
    } else if (result.rc == SP_E_UNSUPPORTED) { /* it reads its configuration when it starts */
        sp_log_info(c->s->log, "supervisor.role-anew", SP_TEXT("role", sp_ipc_role_name(c->kind)),
                    SP_INT("index", c->index));
        c->state = CHILD_ENDING;
        c->wait_ms = 0;
        send_frame(c, SP_ROLE_FRAME_STOP, 0, sp_bytes(NULL, 0), -1);
    } else {
        c->generation = c->took;
        c->refused = frame->id;
        trial_refused(c, &result);
    }
    tell_generation(c);
}

/* It has logged why; its end follows. */
static void on_failed(struct child *c, const struct sp_ipc_frame *frame)
{
    struct sp_role_result result = {.rc = SP_E_MALFORMED};
    bool ran = c->state == CHILD_READY && c->took == c->generation;

    if (c->state == CHILD_STARTING)
        c->generation = c->starting; /* it has not seen what it was told since */
    c->state = CHILD_ENDING;
    if (sp_role_result_decode(frame->payload, &result) != SP_OK)
        result = (struct sp_role_result){.rc = SP_E_MALFORMED};
    c->is_without = result.rc == SP_E_STORE_FAILED && c->kind != SP_ROLE_RELAY;
    if (c->is_without)
        supervisor_progress(c->s);
    if (ran)
        return; /* it had taken it: this is something else */
    c->refused = c->generation;
    trial_refused(c, &result);
}

static void on_rejoin(void *arg)
{
    struct child *c = arg;
    struct supervisor *s = c->s;

    c->rejoined_at_ms = sp_clock_mono_ms(sp_loop_clock(s->loop));
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *other = &s->children[i];

        if (!c->lost[i])
            continue;
        c->lost[i] = false;
        if (runs(c) && runs(other) && other->state != CHILD_ENDING)
            join(c, other);
    }
}

/* At once, but one after the other with a pause: who is out of descriptors loses the next channel as fast as this one. */
static void rejoin(struct child *c, const struct child *other)
{
    int64_t since_ms = sp_clock_mono_ms(sp_loop_clock(c->s->loop)) - c->rejoined_at_ms;
    bool pause = c->rejoined_at_ms != 0 && since_ms < REJOIN_MS;

    c->lost[other - c->s->children] = true;
    if (!sp_timer_is_running(c->rejoin))
        sp_timer_start(c->rejoin, pause ? REJOIN_MS - since_ms : 0);
}

/*
 * A channel is closed on the sender's side. Because what came over it made no sense: the relay asks all others, and whoever
 * answers it so is in no state to go on; nobody else can end a process by a word, they only get a new channel. Or because
 * it failed (LOST): the other one sees its end only, and would wait for a process that has not died.
 */
static void make_anew(struct child *c, struct child *other, bool lost)
{
    struct supervisor *s = c->s;

    if (lost)
        sp_log_error(s->log, "supervisor.channel-lost",
                     SP_TEXT("role", sp_ipc_role_name(other->kind)), SP_INT("index", other->index),
                     SP_TEXT("said_by", sp_ipc_role_name(c->kind)));
    else
        sp_log_error(s->log, "supervisor.role-faulty",
                     SP_TEXT("role", sp_ipc_role_name(other->kind)), SP_INT("index", other->index),
                     SP_TEXT("said_by", sp_ipc_role_name(c->kind)));
    if (!lost && c->kind == SP_ROLE_RELAY && other->kind != SP_ROLE_RELAY)
        (void)kill(other->pid, SIGKILL);
    else
        rejoin(c, other);
}

static void on_faulty(struct child *c, const struct sp_ipc_frame *frame)
{
    struct supervisor *s = c->s;
    struct sp_role_peer about;
    bool lost = frame->type == SP_ROLE_FRAME_LOST;

    if (sp_role_peer_decode(frame->payload, &about) != SP_OK)
        return;
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *other = &s->children[i];

        if (other->kind != about.kind || other->index != about.index || other == c ||
            !sp_ipc_roles_talk(c->kind, other->kind))
            continue;
        if (other->state == CHILD_READY || (lost && other->state == CHILD_STARTING))
            make_anew(c, other, lost);
    }
}

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct child *c = arg;

    switch (frame->type) {
    case SP_ROLE_FRAME_READY:
        if (c->state == CHILD_STARTING)
            c->state = CHILD_READY;
        c->is_without = false;
        trial_took(c, c->starting);
        supervisor_progress(c->s);
        break;
    case SP_ROLE_FRAME_RELOADED:
        on_reloaded(c, frame);
        break;
    case SP_ROLE_FRAME_STOPPED:
        c->state = CHILD_ENDING;
        break;
    case SP_ROLE_FRAME_FAILED:
        on_failed(c, frame);
        break;
    case SP_ROLE_FRAME_FAULTY:
    case SP_ROLE_FRAME_LOST:
        on_faulty(c, frame);
        break;
    default:
        sp_log_warn(c->s->log, "supervisor.frame-unknown", SP_INT("frame", frame->type));
    }
}

/* A child that closes its channel has ended, or will: without a channel it is no use. */
static void on_closed(void *arg, enum sp_rc why)
{
    struct child *c = arg;

    sp_ipc_free(c->channel);
    c->channel = NULL;
    if (why != SP_E_CLOSED && runs(c)) {
        sp_log_error(c->s->log, "supervisor.bad-frame", SP_TEXT("role", sp_ipc_role_name(c->kind)));
        (void)kill(c->pid, SIGKILL);
    }
}

static void wait_for_restart(struct child *c)
{
    int64_t now = sp_clock_mono_ms(sp_loop_clock(c->s->loop));

    c->state = CHILD_DOWN;
    if (now - c->started_at_ms >= STEADY_MS && c->wait_ms > 0)
        c->wait_ms = RESTART_MS;
    sp_timer_start(c->restart, c->wait_ms);
    c->wait_ms = c->wait_ms == 0 ? RESTART_MS : c->wait_ms * 2;
    if (c->wait_ms > RESTART_MAX_MS)
        c->wait_ms = RESTART_MAX_MS;
}

static void start(struct child *c)
{
    static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};
    struct supervisor *s = c->s;
    char program[PATH_LEN_MAX + 40];
    struct sp_role_spawn spawn = {
        .program = program, .name = sp_ipc_role_name(c->kind), .uid = folder_uid(s, c->kind)};
    struct sp_err err;
    int fds[2];

    snprintf(program, sizeof(program), "%s/%s", s->libexec, sp_ipc_role_name(c->kind));
    c->started_at_ms = sp_clock_mono_ms(sp_loop_clock(s->loop));
    if (sp_ipc_pair(fds, &err) != SP_OK) {
        sp_log_error(s->log, "supervisor.no-pair", SP_TEXT("detail", err.text));
        wait_for_restart(c);
        return;
    }
    spawn.channel = fds[1];
    if (sp_role_spawn(&spawn, &c->pid, &err) != SP_OK) {
        sp_log_error(s->log, "supervisor.no-start", SP_TEXT("detail", err.text));
        close(fds[0]);
        wait_for_restart(c);
    } else {
        c->channel = sp_ipc_new(s->loop, fds[0], &events, c);
        c->state = CHILD_STARTING;
        c->generation = c->starting = s->now->number;
        c->refused = 0;
        c->reloading = c->again = false;
        introduce(c);
    }
    state_write(s);
    close(fds[1]);
}

static void on_restart(void *arg)
{
    struct child *c = arg;

    if (!c->s->stopping && c->state == CHILD_DOWN)
        start(c);
}

void child_add(struct supervisor *s, enum sp_role_kind kind, unsigned index)
{
    struct child *c = &s->children[s->child_count++];

    sp_assert(s->child_count <= CHILDREN_MAX);
    *c = (struct child){.s = s, .kind = kind, .index = index, .wait_ms = RESTART_MS};
    c->restart = sp_timer_new(s->loop, on_restart, c);
    c->rejoin = sp_timer_new(s->loop, on_rejoin, c);
}

void children_start(struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];

        if (c->state == CHILD_DOWN && !sp_timer_is_running(c->restart))
            start(c);
    }
}

static void on_end(struct child *c, int status)
{
    struct supervisor *s = c->s;
    bool clean = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    bool was_told = c->state == CHILD_ENDING; /* or has said why */

    sp_log_at(s->log, clean ? SP_LOG_INFO : SP_LOG_ERROR, "supervisor.role-ended",
              SP_TEXT("role", sp_ipc_role_name(c->kind)), SP_INT("index", c->index),
              SP_INT("code", WIFEXITED(status) ? WEXITSTATUS(status) : -1),
              SP_INT("signal", WIFSIGNALED(status) ? WTERMSIG(status) : 0));
    c->pid = 0;
    sp_ipc_free(c->channel);
    c->channel = NULL;
    if (c->state == CHILD_STARTING)
        c->generation = c->starting; /* as above */
    c->state = CHILD_DOWN;
    if (!was_told)
        trial_fell(c);
    if (!s->stopping)
        wait_for_restart(c);
    trial_progress(s);
    supervisor_progress(s);
}

void children_reap(struct supervisor *s)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (handover_reaped(s, pid, status))
            continue;
        for (size_t i = 0; i < s->child_count; i++) {
            if (s->children[i].pid == pid)
                on_end(&s->children[i], status);
        }
    }
}

/* Whether it runs with that one, and was given none since. */
static bool has(const struct child *c, const struct generation *g)
{
    return !c->reloading && c->generation == g->number && c->took == g->number;
}

void children_reload(struct supervisor *s, const struct generation *before)
{
    const unsigned trusting = 1U << SP_ROLE_RELAY | 1U << SP_ROLE_FETCHER;

    for (size_t i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];

        c->falls = 0;
        if ((trusting & 1U << c->kind) == 0 && has(c, before) &&
            generation_is_same_for(c->kind, before, s->now))
            c->generation = c->took = c->starting = s->now->number; /* its READY may be to come */
        tell_generation(c);
    }
}

void children_tell(struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++)
        tell_generation(&s->children[i]);
}

void children_return(struct supervisor *s, const struct generation *refused, bool other_keys)
{
    for (size_t i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];

        if (has(c, refused) && generation_is_same_for(c->kind, refused, s->now))
            c->generation = c->took = c->starting = s->now->number; /* its READY may be to come */
        if (c->refused == refused->number) {
            c->again = true; /* it may have taken a part of it */
            c->wait_ms = 0;  /* if it ends: what it is started with next is good */
        }
        if (c->kind == SP_ROLE_RELAY &&
            (other_keys || c->index == 0)) /* the first has the audit told */
            c->again = true;
        tell_generation(c);
    }
}

size_t children_stop(struct supervisor *s, unsigned kinds)
{
    size_t count = 0;

    for (size_t i = 0; i < s->child_count; i++) {
        struct child *c = &s->children[i];

        if ((kinds & (1U << c->kind)) == 0 || !runs(c))
            continue;
        count++;
        if (c->state != CHILD_ENDING) {
            c->state = CHILD_ENDING;
            send_frame(c, SP_ROLE_FRAME_STOP, s->handing_over ? SP_ROLE_STOP_HANDOVER : 0,
                       sp_bytes(NULL, 0), -1);
        }
    }
    return count;
}

void children_kill(struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *c = &s->children[i];

        if (!runs(c))
            continue;
        sp_log_error(s->log, "supervisor.role-killed", SP_TEXT("role", sp_ipc_role_name(c->kind)),
                     SP_INT("index", c->index));
        (void)kill(c->pid, SIGKILL);
    }
}

void children_clear(struct supervisor *s)
{
    for (size_t i = 0; i < s->child_count; i++) {
        sp_timer_free(s->children[i].restart);
        sp_timer_free(s->children[i].rejoin);
        sp_ipc_free(s->children[i].channel);
    }
    s->child_count = 0;
}
