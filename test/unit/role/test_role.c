/*
 * A real role process: this program, executed again under a role's name. It starts, reloads, stops, dies with its
 * channel, and tries what its sandbox must refuse.
 */
#include "role/bundle.h"
#include "role/control.h"
#include "role/process.h"
#include "role/role.h"
#include "support/check_main.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the role (no Check here: it runs in another process) ---- */
struct probe {
    struct sp_role *role;
    enum sp_role_kind kind;
    struct sp_ipc *peer;
    bool never_stops;
};

static enum sp_role_kind kind_here;

static int try_open(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC, 0600);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int try_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int try_exec(const char *path)
{
    pid_t pid = fork();
    int status;

    if (pid < 0)
        return errno;
    if (pid == 0) {
        (void)close(STDOUT_FILENO);
        execl(path, path, "--version", (char *)NULL);
        _exit(errno);
    }
    sp_assert(waitpid(pid, &status, 0) == pid);
    return WEXITSTATUS(status);
}

static int try_memory(void)
{
    int here = 0, there;
    struct iovec local = {&here, sizeof(here)}, remote = {&there, sizeof(there)};

    return process_vm_readv(getppid(), &local, 1, &remote, 1, 0) < 0 ? errno : 0;
}

static int probe(struct probe *p, struct sp_bytes what)
{
    char path[300];
    struct sp_bytes verb;

    (void)sp_bytes_split(&what, ' ', &verb);
    snprintf(path, sizeof(path), "%.*s", SP_FMT(what));
    if (sp_bytes_eq(verb, SP_LIT("read")))
        return try_open(path, O_RDONLY);
    if (sp_bytes_eq(verb, SP_LIT("write")))
        return try_open(path, O_WRONLY | O_CREAT);
    if (sp_bytes_eq(verb, SP_LIT("inet")))
        return try_socket(AF_INET);
    if (sp_bytes_eq(verb, SP_LIT("unix")))
        return try_socket(AF_UNIX);
    if (sp_bytes_eq(verb, SP_LIT("netlink")))
        return try_socket(AF_NETLINK);
    if (sp_bytes_eq(verb, SP_LIT("exec")))
        return try_exec(path);
    if (sp_bytes_eq(verb, SP_LIT("memory")))
        return try_memory();
    if (sp_bytes_eq(verb, SP_LIT("file"))) {
        struct sp_bytes file = sp_role_file(p->role, path);

        return file.len == 0 ? ENOENT : file.ptr[0];
    }
    if (sp_bytes_eq(verb, SP_LIT("hang"))) {
        p->never_stops = true;
        return 0;
    }
    return ENOSYS;
}

static void on_probe(void *arg, const struct sp_ipc_frame *frame)
{
    struct probe *p = arg;
    const struct sp_ipc_frame reply = {.id = (uint64_t)probe(p, frame->payload)};

    sp_assert(sp_ipc_send(p->peer, &reply) == SP_OK);
}

static void on_probe_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static const struct sp_ipc_events probe_events = {.on_frame = on_probe,
                                                  .on_closed = on_probe_closed};

/* The file policies/policy.json or detection/order may have a line "VERB ROLE" for this role. */
static bool is_told(const struct sp_role *role, enum sp_role_kind kind, const char *verb)
{
    struct sp_bytes files[] = {sp_role_file(role, "policies/policy.json"),
                               sp_role_file(role, "detection/order")};
    char wanted[60];

    snprintf(wanted, sizeof(wanted), "%s %s", verb, sp_ipc_role_name(kind));
    for (size_t i = 0; i < SP_ARRAY_LEN(files); i++) {
        struct sp_bytes line;

        while (files[i].len > 0 && sp_bytes_split(&files[i], '\n', &line)) {
            if (sp_bytes_eq(line, sp_bytes_cstr(wanted)))
                return true;
        }
    }
    return false;
}

static enum sp_rc obey(const struct sp_role *role, enum sp_role_kind kind, struct sp_err *err)
{
    if (is_told(role, kind, "die"))
        _exit(7);
    if (is_told(role, kind, "refuse") ||
        sp_bytes_eq(sp_role_file(role, "sallyport.json"), SP_LIT("bad")))
        return sp_fail(err, SP_E_CONFIG_INVALID, "told to fail");
    return SP_OK;
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct probe *p = sp_calloc(1, sizeof(*p));

    *state = p;
    p->role = role;
    p->kind = kind_here;
    return obey(role, p->kind, err);
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    struct probe *p = state;

    (void)kind;
    (void)index;
    p->peer = sp_ipc_new(sp_role_loop(p->role), fd, &probe_events, p);
}

static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    const struct probe *p = state;

    if (is_told(role, p->kind, "anew"))
        return sp_fail(err, SP_E_UNSUPPORTED, "told to be started anew");
    return obey(role, p->kind, err);
}

static void stop(struct sp_role *role, void *state)
{
    if (!((struct probe *)state)->never_stops)
        sp_role_stopped(role);
}

static void probe_free(void *state)
{
    sp_ipc_free(((struct probe *)state)->peer);
    sp_free(state);
}

static int role_main(enum sp_role_kind kind)
{
    const struct sp_role_ops ops = {.kind = kind,
                                    .start = start,
                                    .on_peer = on_peer,
                                    .on_reload = on_reload,
                                    .stop = stop,
                                    .free = probe_free};

    kind_here = kind;
    return sp_role_main(&ops);
}

/* ---- the supervisor's side ---- */
struct child {
    pid_t pid;
    struct sp_ipc *channel, *peer;
    int ready, reloaded, stopped, failed, closed, replies;
    enum sp_rc rc;
    uint64_t reply, generation;
};

static struct sp_loop *loop;
static char self[4096], dir[] = "/tmp/sallyport-role-XXXXXX", state[200], own[300];

static void on_frame(void *arg, const struct sp_ipc_frame *frame)
{
    struct child *c = arg;
    struct sp_role_result result = {0};

    c->ready += frame->type == SP_ROLE_FRAME_READY;
    c->stopped += frame->type == SP_ROLE_FRAME_STOPPED;
    c->failed += frame->type == SP_ROLE_FRAME_FAILED;
    c->reloaded += frame->type == SP_ROLE_FRAME_RELOADED;
    if (frame->type == SP_ROLE_FRAME_FAILED || frame->type == SP_ROLE_FRAME_RELOADED)
        ck_assert_int_eq(sp_role_result_decode(frame->payload, &result), SP_OK);
    c->rc = result.rc;
    c->generation = frame->id;
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)why;
    ((struct child *)arg)->closed++;
}

static const struct sp_ipc_events events = {.on_frame = on_frame, .on_closed = on_closed};

static void on_reply(void *arg, const struct sp_ipc_frame *frame)
{
    struct child *c = arg;

    c->replies++;
    c->reply = frame->id;
}

static const struct sp_ipc_events peer_events = {.on_frame = on_reply, .on_closed = on_closed};

static void await(const int *what)
{
    for (int i = 0; i < 10000 && *what == 0; i++)
        sp_loop_run_once(loop, 1);
    ck_assert_int_gt(*what, 0);
}

static void send_frame(struct child *c, uint16_t type, uint64_t id, struct sp_bytes payload, int fd)
{
    const struct sp_ipc_frame frame = {
        .type = type, .id = id, .payload = payload, .fds = &fd, .fd_count = fd >= 0 ? 1 : 0};

    ck_assert_int_eq(sp_ipc_send(c->channel, &frame), SP_OK);
    if (fd >= 0)
        close(fd);
}

static int bundle_fd(const char *config)
{
    SP_AUTO(sp_role_bundle) b = sp_role_bundle_new();
    int fd = -1;

    ck_assert_int_eq(sp_role_bundle_add(b, "sallyport.json", sp_bytes_cstr(config)), SP_OK);
    ck_assert_int_eq(sp_role_bundle_add(b, "tenants/a.json", SP_LIT("x")), SP_OK);
    ck_assert_int_eq(sp_role_bundle_to_memfd(b, &fd), SP_OK);
    return fd;
}

static void begin(struct child *c, enum sp_role_kind kind, const char *config)
{
    struct sp_role_start s = {.kind = kind,
                              .count = 1,
                              .generation = 1,
                              .log_level = SP_LOG_ERROR,
                              .state_dir = sp_bytes_cstr(state),
                              .dirs = {sp_bytes_cstr(own)},
                              .dir_count = 1};
    struct sp_role_spawn spawn = {.program = self, .name = sp_ipc_role_name(kind), .uid = -1};
    struct sp_role_peer peer = {.kind = SP_ROLE_RELAY};
    struct sp_buf buf;
    struct sp_err err = {0};
    int fds[2], ends[2];

    *c = (struct child){0};
    loop = sp_loop_new();
    sp_buf_init(&buf, 100000);
    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    spawn.channel = fds[1];
    ck_assert_msg(sp_role_spawn(&spawn, &c->pid, &err) == SP_OK, "%s", err.text);
    close(fds[1]);
    c->channel = sp_ipc_new(loop, fds[0], &events, c);
    sp_role_start_encode(&buf, &s);
    send_frame(c, SP_ROLE_FRAME_START, 0, sp_buf_bytes(&buf), bundle_fd(config));
    ck_assert_int_eq(sp_ipc_pair(ends, NULL), SP_OK);
    c->peer = sp_ipc_new(loop, ends[0], &peer_events, c);
    sp_buf_reset(&buf);
    sp_role_peer_encode(&buf, &peer);
    send_frame(c, SP_ROLE_FRAME_PEER, 0, sp_buf_bytes(&buf), ends[1]);
    send_frame(c, SP_ROLE_FRAME_GO, 0, sp_bytes(NULL, 0), -1);
    sp_buf_clear(&buf);
}

static int reap(struct child *c)
{
    int status;

    ck_assert_int_eq(waitpid(c->pid, &status, 0), c->pid);
    sp_ipc_free(c->channel);
    sp_ipc_free(c->peer);
    sp_loop_free(loop);
    return status;
}

static void end(struct child *c)
{
    int status;

    send_frame(c, SP_ROLE_FRAME_STOP, 0, sp_bytes(NULL, 0), -1);
    await(&c->stopped);
    status = reap(c);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int ask(struct child *c, const char *what)
{
    const struct sp_ipc_frame frame = {.payload = sp_bytes_cstr(what)};

    c->replies = 0;
    ck_assert_int_eq(sp_ipc_send(c->peer, &frame), SP_OK);
    await(&c->replies);
    return (int)c->reply;
}

START_TEST(a_role_starts_serves_and_stops)
{
    struct child c;

    begin(&c, SP_ROLE_KEEPER, "{}");
    await(&c.ready);
    ck_assert_int_eq(ask(&c, "file tenants/a.json"), 'x');
    ck_assert_int_eq(ask(&c, "file nothing"), ENOENT);
    end(&c);
}
END_TEST

START_TEST(a_start_that_fails_is_told)
{
    struct child c;
    int status;

    begin(&c, SP_ROLE_KEEPER, "bad");
    await(&c.failed);
    ck_assert_int_eq(c.rc, SP_E_CONFIG_INVALID);
    ck_assert_int_eq(c.ready, 0);
    status = reap(&c);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}
END_TEST

START_TEST(reload_takes_the_good_and_keeps_the_old_else)
{
    struct child c;

    begin(&c, SP_ROLE_KEEPER, "one");
    await(&c.ready);
    send_frame(&c, SP_ROLE_FRAME_RELOAD, 2, sp_bytes(NULL, 0), bundle_fd("bad"));
    await(&c.reloaded);
    ck_assert_int_eq(c.rc, SP_E_CONFIG_INVALID);
    ck_assert_int_eq(ask(&c, "file sallyport.json"), 'o');
    c.reloaded = 0;
    send_frame(&c, SP_ROLE_FRAME_RELOAD, 3, sp_bytes(NULL, 0), bundle_fd("two"));
    await(&c.reloaded);
    ck_assert_int_eq(c.rc, SP_OK);
    ck_assert_uint_eq(c.generation, 3);
    ck_assert_int_eq(ask(&c, "file sallyport.json"), 't');
    end(&c);
}
END_TEST

START_TEST(a_role_ends_when_its_supervisor_has_gone)
{
    struct child c;
    int status;

    begin(&c, SP_ROLE_LEDGER, "{}");
    await(&c.ready);
    sp_ipc_free(c.channel);
    c.channel = NULL;
    status = reap(&c);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
END_TEST

START_TEST(a_role_that_hangs_is_ended_all_the_same)
{
    struct child c;
    int status;

    begin(&c, SP_ROLE_LEDGER, "{}");
    await(&c.ready);
    ck_assert_int_eq(ask(&c, "hang"), 0);
    sp_ipc_free(c.channel); /* the short limit */
    c.channel = NULL;
    status = reap(&c);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
}
END_TEST

START_TEST(the_sandbox_refuses_and_allows)
{
    static const struct {
        enum sp_role_kind kind;
        const char *what; /* %s: the own folder; %p: the state folder */
        int want;
    } cases[] = {
        {SP_ROLE_RELAY, "inet", 0},
        {SP_ROLE_RELAY, "unix", EPERM},
        {SP_ROLE_RELAY, "netlink", EPERM},
        {SP_ROLE_RELAY, "exec /bin/true", EPERM},
        {SP_ROLE_RELAY, "memory", EPERM},
        {SP_ROLE_RELAY, "write own/x", 0},
        {SP_ROLE_RELAY, "read other/secret", EACCES},
        {SP_ROLE_RELAY, "write other/x", EACCES},
        {SP_ROLE_RELAY, "read /usr/bin/env", 0},
        {SP_ROLE_RELAY, "read /root", EACCES},
        {SP_ROLE_SCANNER, "inet", EPERM},
        {SP_ROLE_SCANNER, "unix", EPERM},
        {SP_ROLE_SCANNER, "exec /bin/true", EPERM},
        {SP_ROLE_SCANNER, "write own/y", EACCES},
        {SP_ROLE_SCANNER, "read other/secret", EACCES},
        {SP_ROLE_SCANNER, "memory", EPERM},
        {SP_ROLE_SEALER, "inet", EPERM},
        {SP_ROLE_SEALER, "unix", 0},
        {SP_ROLE_SEALER, "exec /usr/bin/gpg", 0},
        {SP_ROLE_SEALER, "exec /bin/true", EACCES},
        {SP_ROLE_SEALER, "write own/z", 0},
        {SP_ROLE_SEALER, "read other/secret", EACCES},
        {SP_ROLE_LEDGER, "inet", EPERM},
        {SP_ROLE_LEDGER, "exec /bin/true", EPERM},
        {SP_ROLE_FETCHER, "inet", 0},
        {SP_ROLE_PORTAL, "inet", EPERM},
    };
    struct child c;
    int kind = -1;

    for (size_t i = 0; i < SP_ARRAY_LEN(cases); i++) {
        char what[400];
        const char *place = strstr(cases[i].what, "own/");

        if ((int)cases[i].kind != kind) {
            if (kind >= 0)
                end(&c);
            kind = (int)cases[i].kind;
            begin(&c, cases[i].kind, "{}");
            await(&c.ready);
        }
        if (place == NULL)
            place = strstr(cases[i].what, "other/");
        if (place == NULL)
            snprintf(what, sizeof(what), "%s", cases[i].what);
        else
            snprintf(what, sizeof(what), "%.*s%s/%s", (int)(place - cases[i].what), cases[i].what,
                     state, place);
        ck_assert_msg(ask(&c, what) == cases[i].want, "%s: %s: %d", sp_ipc_role_name(cases[i].kind),
                      what, (int)c.reply);
    }
    end(&c);
}
END_TEST

START_TEST(a_program_that_is_not_there_is_an_error)
{
    struct sp_role_spawn spawn = {.program = "/nowhere/relay", .name = "relay", .uid = -1};
    struct sp_err err;
    pid_t pid;
    int fds[2];

    ck_assert_int_eq(sp_ipc_pair(fds, NULL), SP_OK);
    spawn.channel = fds[0];
    ck_assert_int_eq(sp_role_spawn(&spawn, &pid, &err), SP_E_ROLE_START);
    ck_assert_ptr_nonnull(strstr(err.text, "/nowhere/relay"));
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(a_bundle_is_sorted_and_complete)
{
    SP_AUTO(sp_role_bundle) b = sp_role_bundle_new();
    SP_AUTO(sp_role_bundle) again = NULL;
    struct sp_bytes name, data;
    struct sp_buf buf;
    size_t at = 0;

    ck_assert_int_eq(sp_role_bundle_add(b, "b", SP_LIT("2")), SP_OK);
    ck_assert_int_eq(sp_role_bundle_add(b, "a", SP_LIT("")), SP_OK);
    ck_assert_int_eq(sp_role_bundle_add(b, "c", SP_LIT("3")), SP_OK);
    ck_assert_int_eq(sp_role_bundle_add(b, "b", SP_LIT("two")), SP_OK);
    ck_assert_int_eq(sp_role_bundle_add(b, "", SP_LIT("")), SP_E_LIMIT);
    sp_buf_init(&buf, 1000);
    sp_role_bundle_encode(b, &buf);
    for (size_t cut = 0; cut < buf.len; cut++)
        ck_assert_int_eq(sp_role_bundle_decode(sp_bytes(buf.ptr, cut), &again), SP_E_MALFORMED);
    ck_assert_int_eq(sp_role_bundle_decode(sp_buf_bytes(&buf), &again), SP_OK);
    ck_assert(sp_role_bundle_next(again, &at, &name, &data));
    ck_assert(sp_bytes_eq(name, SP_LIT("a")) && data.len == 0 && data.ptr != NULL);
    ck_assert(sp_bytes_eq(sp_role_bundle_find(again, SP_LIT("b")), SP_LIT("two")));
    ck_assert_ptr_null(sp_role_bundle_find(again, SP_LIT("d")).ptr);
    sp_buf_clear(&buf);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, a_bundle_is_sorted_and_complete);
    tcase_add_test(c, a_program_that_is_not_there_is_an_error);
    tcase_add_test(c, a_role_starts_serves_and_stops);
    tcase_add_test(c, a_start_that_fails_is_told);
    tcase_add_test(c, reload_takes_the_good_and_keeps_the_old_else);
    tcase_add_test(c, a_role_ends_when_its_supervisor_has_gone);
    tcase_add_test(c, a_role_that_hangs_is_ended_all_the_same);
    tcase_add_test(c, the_sandbox_refuses_and_allows);
}

static int suite_main(void);
#define main suite_main
static SP_TEST_MAIN("role", add)
#undef main

    int main(int argc, char **argv)
{
    enum sp_role_kind kind;
    char path[300];
    int result, fd;

    if (argc == 1 && sp_ipc_role_parse(sp_bytes_cstr(argv[0]), &kind))
        return role_main(kind);
    if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0 || mkdtemp(dir) == NULL)
        return EXIT_FAILURE;
    snprintf(state, sizeof(state), "%s", dir);
    snprintf(own, sizeof(own), "%s/own", dir);
    snprintf(path, sizeof(path), "%s/other", dir);
    if (mkdir(own, 0700) != 0 || mkdir(path, 0700) != 0)
        return EXIT_FAILURE;
    snprintf(path, sizeof(path), "%s/other/secret", dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    result = suite_main();
    (void)unlink(path);
    for (const char *name = "xyz"; *name != '\0'; name++) {
        snprintf(path, sizeof(path), "%s/own/%c", dir, *name);
        (void)unlink(path);
    }
    (void)rmdir(own);
    snprintf(path, sizeof(path), "%s/other", dir);
    (void)rmdir(path);
    (void)rmdir(dir);
    return result;
}
