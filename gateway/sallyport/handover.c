/*
 * Another version of the program takes over without a refused connection. The supervisor that runs asks the program that
 * now lies in its place whether it could start here (`serve --try`); if so, its relays end what they have under way while
 * new connections wait in the kernel's queue, its other roles end, and it becomes the new program by exec: the same
 * process for systemd, with the listening sockets and the lock of the state folder still open. The new one finds them by
 * the environment variable below and starts its roles on them.
 *
 * Turned down: two supervisors side by side, each with its relays. Every file has one writer, so the second set would need
 * shards, stores and an audit of its own; what that saves is the second or two in which a connection waits for its greeting.
 *
 * The lock file tells how far it is, for `sallyport upgrade`: "PID START TRIES STATE VERSION".
 */
#include "gateway/sallyport/supervisor.h"

#include "role/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define VARIABLE                                                                                   \
    "SALLYPORT_HANDOVER=" /* "START,TRIES,LOCK", then a line a socket: "NAME,KIND,INDEX,FD,ADDRESS" */
#define TRY_MS       30000
#define NUMBER_MAX   1000000
#define FIRST_FREE   3
#define EXIT_NO_EXEC 127
#define WHY_MAX      (SP_ERR_TEXT_MAX + 256)
#define UNSETTLED    "not all roles have taken the configuration on the disk yet: try again"

void handover_tell(struct supervisor *s, const char *state)
{
    char text[256];
    int len = snprintf(text, sizeof(text), "%ld %u %u %s %s\n", (long)getpid(), s->start_number,
                       s->tries, state, SP_VERSION);

    if (s->lock < 0 || len <= 0)
        return;
    if (pwrite(s->lock, text, (size_t)len, 0) != len || ftruncate(s->lock, len) != 0)
        sp_log_warn(s->log, "supervisor.lock-unwritten", SP_INT("errno", errno));
}

/* ---- the successor's side ---- */

static bool read_number(struct sp_bytes *rest, unsigned *out)
{
    struct sp_bytes part;
    uint64_t number;

    if (!sp_bytes_split(rest, ',', &part) || !sp_bytes_to_u64(part, &number) || number > NUMBER_MAX)
        return false;
    *out = (unsigned)number;
    return true;
}

static bool take_one(struct supervisor *s, struct sp_bytes text)
{
    struct listening *l;
    struct sp_bytes name;
    unsigned kind;
    unsigned index;
    unsigned fd;

    if (!sp_bytes_split(&text, ',', &name) || !read_number(&text, &kind) ||
        !read_number(&text, &index) || !read_number(&text, &fd) || kind >= SP_ROLE_COUNT ||
        name.len >= sizeof(l->name) || text.len >= sizeof(l->address) ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
        return false;
    s->handed = sp_realloc(s->handed, (s->handed_count + 1) * sizeof(*s->handed));
    l = &s->handed[s->handed_count++];
    *l = (struct listening){.kind = (enum sp_role_kind)kind, .index = index, .fd = (int)fd};
    memcpy(l->name, name.ptr, name.len);
    memcpy(l->address, text.ptr, text.len);
    return true;
}

static const char *find_variable(void)
{
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        if (strncmp(*e, VARIABLE, sizeof(VARIABLE) - 1) == 0)
            return *e + sizeof(VARIABLE) - 1;
    }
    return NULL;
}

enum sp_rc handover_take(struct supervisor *s, struct sp_err *err)
{
    const char *text = find_variable();
    struct sp_bytes rest = sp_bytes_cstr(text == NULL ? "" : text);
    struct sp_bytes line;
    unsigned lock = 0;
    bool ok;

    s->start_number = 1;
    if (text == NULL)
        return SP_OK;
    ok = sp_bytes_split(&rest, '\n', &line) && read_number(&line, &s->start_number) &&
         read_number(&line, &s->tries) && read_number(&line, &lock) &&
         fcntl((int)lock, F_SETFD, FD_CLOEXEC) == 0;
    while (ok && rest.len > 0 && sp_bytes_split(&rest, '\n', &line))
        ok = take_one(s, line);
    if (!ok)
        return sp_fail(err, SP_E_ROLE_START, "what the former program handed over is not here");
    s->lock = (int)lock;
    s->start_number++;
    (void)unsetenv("SALLYPORT_HANDOVER"); /* it is for us alone */
    return SP_OK;
}

int handover_socket(struct supervisor *s, const struct listening *wanted)
{
    for (size_t i = 0; i < s->handed_count; i++) {
        struct listening *l = &s->handed[i];
        int fd = l->fd;

        if (fd < 0 || l->kind != wanted->kind || l->index != wanted->index ||
            strcmp(l->name, wanted->name) != 0 || strcmp(l->address, wanted->address) != 0)
            continue;
        l->fd = -1;
        return fd;
    }
    return -1;
}

enum sp_rc handover_check_left(struct supervisor *s, struct sp_err *err)
{
    for (size_t i = 0; i < s->handed_count; i++) {
        if (s->handed[i].fd >= 0)
            return sp_fail(err, SP_E_CONFIG_INVALID,
                           "%s on %s is no longer in the settings: that needs a restart",
                           s->handed[i].name, s->handed[i].address);
    }
    return SP_OK;
}

/* ---- the predecessor's side ---- */

static void write_variable(const struct supervisor *s, struct sp_buf *out)
{
    sp_buf_printf(out, VARIABLE "%u,%u,%d\n", s->start_number, s->tries, s->lock);
    for (size_t i = 0; i < s->listening_count; i++) {
        const struct listening *l = &s->listening[i];

        sp_buf_printf(out, "%s,%u,%u,%d,%s\n", l->name, (unsigned)l->kind, l->index, l->fd,
                      l->address);
    }
    sp_buf_put_u8(out, 0);
}

/* Our environment with the variable in it. owner: the caller, of the list */
static char **make_environment(char *variable)
{
    size_t count = 0;
    char **out;

    while (environ != NULL && environ[count] != NULL)
        count++;
    out = sp_calloc(count + 2, sizeof(*out));
    for (size_t i = 0; i < count; i++)
        out[i] = environ[i];
    out[count] = variable;
    return out;
}

/* Nothing stays open across exec but what is handed over. Only calls that are safe between fork and exec. */
static bool keep_open(const struct supervisor *s)
{
    if (close_range(FIRST_FREE, ~0U, CLOSE_RANGE_CLOEXEC) != 0 || fcntl(s->lock, F_SETFD, 0) != 0)
        return false;
    for (size_t i = 0; i < s->listening_count; i++) {
        if (fcntl(s->listening[i].fd, F_SETFD, 0) != 0)
            return false;
    }
    return true;
}

static void become(const struct supervisor *s, bool is_try)
{
    char name[] = "sallyport";
    char serve[] = "serve";
    char try_only[] = "--try";
    char option[] = "-c";
    char *config = (char *)s->config_path;
    char *const whole[] = {name, serve, option, config, NULL};
    char *const trial[] = {name, serve, try_only, option, config, NULL};

    if (keep_open(s))
        (void)execve(s->self, is_try ? trial : whole, s->environment);
}

static void refuse(struct supervisor *s, const char *why)
{
    sp_log_error(s->log, "supervisor.upgrade-refused", SP_TEXT("why", why));
    sp_timer_cancel(s->try_limit);
    s->trial = 0;
    s->tried = false;
    handover_tell(s, "refused");
}

/* By a role that had a say. What can't be read, the program that is tried can't read either. returns: NULL: nothing */
static const struct refusal *find_refusal(const struct supervisor *s)
{
    for (enum generation_origin o = GENERATION_READ; o < GENERATION_ORIGINS; o++)
        if (s->refusals[o].stands && !s->refusals[o].alone)
            return &s->refusals[o];
    return NULL;
}

/* Of what lies on the disk the roles have not taken something: what, why, and what to do. */
static void refuse_for(struct supervisor *s, const struct refusal *r)
{
    static const struct {
        const char *what, *then;
    } words[] = {
        [GENERATION_UNREAD] =
            {"the files on the disk, which have become no configuration meanwhile",
             "mend them first"},
        [GENERATION_READ] = {"the configuration on the disk", "mend it and reload first"},
        [GENERATION_RENEWED] = {"renewed certificates",
                                "mend their files, which are then taken by themselves, first"},
        [GENERATION_ROTATED] = {"a new key of session tickets", "reload first"},
    };
    char why[WHY_MAX];

    if (r->needs_restart)
        (void)snprintf(why, sizeof(why), "%s: restart instead, or put it back and reload first",
                       r->detail);
    else
        (void)snprintf(why, sizeof(why), "%s %u refused %s (%s): %s", trial_by(r),
                       r->by == NULL ? 0 : r->by->index, words[r->origin].what, r->detail,
                       words[r->origin].then);
    refuse(s, why);
}

static void on_try_limit(void *arg)
{
    struct supervisor *s = arg;

    if (s->trial != 0)
        (void)kill(s->trial, SIGKILL);
    else if (s->tried && !s->stopping)
        refuse(s, UNSETTLED);
}

void handover_settle(struct supervisor *s)
{
    const struct refusal *refusal = find_refusal(s);

    if (!s->tried || s->stopping)
        return;
    if (refusal != NULL) { /* it would know no other */
        refuse_for(s, refusal);
    } else if (s->unread != s->unread_before) {
        refuse_for(s, &s->refusals[GENERATION_UNREAD]);
    } else if (s->accepted == NULL || s->now == s->accepted) {
        s->tried = false;
        sp_timer_cancel(s->try_limit);
        handover_tell(s, "handing-over");
        supervisor_hand_over(s);
    }
}

void handover_begin(struct supervisor *s)
{
    if (s->stopping || s->trial != 0 || s->tried)
        return;
    s->tries++;
    s->unread_before = s->unread;
    sp_log_info(s->log, "supervisor.upgrade", SP_TEXT("program", s->self));
    handover_tell(s, "trying");
    sp_buf_reset(&s->variable);
    write_variable(s, &s->variable);
    if (sp_buf_rc(&s->variable) != SP_OK) {
        refuse(s, "too many sockets");
        return;
    }
    sp_free(s->environment);
    s->environment = make_environment((char *)s->variable.ptr);
    if (s->try_limit == NULL)
        s->try_limit = sp_timer_new(s->loop, on_try_limit, s);
    if (find_refusal(s) != NULL) {
        refuse_for(s, find_refusal(s));
        return;
    }
    sp_timer_start(s->try_limit, TRY_MS);
    s->trial = fork();
    if (s->trial == 0) {
        become(s, true);
        _exit(EXIT_NO_EXEC);
    }
    if (s->trial < 0)
        refuse(s, "no process could be made");
}

bool handover_reaped(struct supervisor *s, pid_t pid, int status)
{
    if (pid != s->trial || pid == 0)
        return false;
    s->trial = 0;
    if (s->stopping)
        return true;
    if (status == 0) {
        s->tried = true;
        handover_tell(s, "tried");
        handover_settle(s);
    } else {
        refuse(s, "the new program could not start: what it said is above");
    }
    return true;
}

void handover_exec(struct supervisor *s)
{
    sigset_t ours;

    sp_log_info(s->log, "supervisor.handed-over", SP_INT("start", s->start_number + 1));
    handover_signals(&ours);
    (void)sigprocmask(SIG_BLOCK, &ours, NULL); /* what comes now waits for the successor */
    become(s, false);
    sp_log_error(s->log, "supervisor.upgrade-failed", SP_INT("errno", errno));
    s->exit_code = EXIT_FAILURE;
}

void handover_signals(sigset_t *out)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

    sigemptyset(out);
    for (size_t i = 0; i < SP_ARRAY_LEN(ours); i++)
        sigaddset(out, ours[i]);
}

void handover_clear(struct supervisor *s)
{
    for (size_t i = 0; i < s->handed_count; i++) {
        if (s->handed[i].fd >= 0)
            close(s->handed[i].fd);
    }
    sp_free(s->handed);
    sp_free(s->environment);
    sp_buf_clear(&s->variable);
    sp_timer_free(s->try_limit);
}
