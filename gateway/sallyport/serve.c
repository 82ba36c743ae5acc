/*
 * `sallyport serve`: reads the configuration, makes folders, binds sockets, starts the roles and watches over them. It
 * reads nothing from the network. Stopping goes in phases: first those who take mail, then those who help them, the
 * ledger last, so that the audit has what the others did to their end.
 */
#include "gateway/cli/options.h"
#include "gateway/cli/refusal.h"
#include "gateway/sallyport/supervisor.h"

#include "role/caps.h"
#include "role/process.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define REPORT_MAX   (256 * 1024)
#define VARIABLE_MAX ((size_t)1 << 20)
#define LAST_MS      3000 /* for the later phases together, past the limit of the first */
#define FOR(role)    (1U << SP_ROLE_##role)
#define SERVE_USAGE  64
#define NO_OUTPUT    73

static const char usage[] = "usage: sallyport serve [-c FILE]\n";
static const char help[] =
    "\nRuns the gateway in the foreground; logs go to standard error.\n\n"
    "  -c, --config FILE  settings of the gateway (default /etc/sallyport/sallyport.json)\n\n"
    "SIGHUP reads the settings anew, SIGTERM stops it. Exit codes: 0 a clean stop, 1 it could not\n"
    "start or did not stop in time, 64 wrong arguments.\n";

static const unsigned phases[] = {
    FOR(RELAY) | FOR(PORTAL) | FOR(ADMIN),
    FOR(SCANNER) | FOR(SEALER) | FOR(KEEPER) | FOR(FETCHER),
    FOR(LEDGER),
};

/* When a successor waits, readers and administrators are served until the relays have ended. */
static const unsigned handover_phases[] = {
    FOR(RELAY),
    FOR(PORTAL) | FOR(ADMIN),
    FOR(SCANNER) | FOR(SEALER) | FOR(KEEPER) | FOR(FETCHER),
    FOR(LEDGER),
};

/* Started in this order: who is asked before who asks. */
static const enum sp_role_kind order[] = {SP_ROLE_LEDGER, SP_ROLE_KEEPER,  SP_ROLE_SCANNER,
                                          SP_ROLE_SEALER, SP_ROLE_FETCHER, SP_ROLE_PORTAL,
                                          SP_ROLE_ADMIN,  SP_ROLE_RELAY};

static unsigned wanted(const struct sp_config *c, enum sp_role_kind kind)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    switch (kind) {
    case SP_ROLE_RELAY:
        return c->workers > 0 ? (unsigned)c->workers : cores < 1 ? 1 : (unsigned)cores;
    case SP_ROLE_SCANNER:
        return (unsigned)c->roles.scanners;
    case SP_ROLE_SEALER:
        return (unsigned)c->roles.sealers;
    case SP_ROLE_PORTAL:
        return c->portal.listen[0] == '\0' ? 0 : 1;
    default:
        return 1;
    }
}

/* Problems go to people as they are, a line each: they were written for them. */
static void print_report(const struct sp_buf *report)
{
    fprintf(stderr, "%.*s", SP_FMT(sp_buf_bytes(report)));
}

static void go_on_stopping(struct supervisor *s)
{
    const unsigned *list = s->handing_over ? handover_phases : phases;
    size_t count = s->handing_over ? SP_ARRAY_LEN(handover_phases) : SP_ARRAY_LEN(phases);

    while (s->phase < count) {
        if (children_stop(s, list[s->phase]) > 0)
            return;
        s->phase++;
    }
    sp_loop_stop(s->loop);
}

static void on_limit(void *arg)
{
    struct supervisor *s = arg;

    s->exit_code = EXIT_FAILURE;
    children_kill(s);
}

void supervisor_progress(struct supervisor *s)
{
    bool is_whole = true;

    if (s->stopping) {
        go_on_stopping(s);
        return;
    }
    if (s->told_ready)
        return;
    for (size_t i = 0; i < s->child_count; i++) {
        const struct child *c = &s->children[i];

        if (c->state != CHILD_READY && !c->is_without)
            return;
        is_whole = is_whole && c->state == CHILD_READY;
    }
    if (is_whole) {
        s->told_ready = true;
        sp_log_info(s->log, "supervisor.ready", SP_INT("roles", s->child_count));
        handover_tell(s, "ready");
    }
    if (!s->told_up) { /* or it would end all for the sake of one */
        s->told_up = true;
        sp_role_notify("READY=1");
    }
}

void supervisor_hand_over(struct supervisor *s)
{
    s->stopping = true;
    s->handing_over = true;
    sp_log_info(s->log, "supervisor.handing-over");
    sp_role_notify("RELOADING=1");
    sp_timer_start(s->limit, s->now->config->stop_ms + LAST_MS);
    go_on_stopping(s);
}

static void on_upgrade(void *arg)
{
    handover_begin(arg);
}

static void on_stop(void *arg)
{
    struct supervisor *s = arg;

    if (s->stopping) {
        s->phase = s->handing_over ? 0 : s->phase; /* rather the end than a successor */
        s->handing_over = false;
        go_on_stopping(s);
        return;
    }
    s->stopping = true;
    sp_log_info(s->log, "supervisor.stopping");
    sp_role_notify("STOPPING=1");
    sp_timer_start(s->limit, s->now->config->stop_ms + LAST_MS);
    go_on_stopping(s);
}

static void on_child(void *arg)
{
    children_reap(arg);
}

static bool same_listeners(const struct sp_config *a, const struct sp_config *b)
{
    if (a->listen_count != b->listen_count)
        return false;
    for (size_t i = 0; i < a->listen_count; i++) {
        if (strcmp(a->listen[i].address, b->listen[i].address) != 0)
            return false;
    }
    return true;
}

/* What is bound, made or counted at start can't change while we run. returns: the first such setting that has; NULL: none */
static const char *needs_restart(const struct sp_config *a, const struct sp_config *b)
{
    const struct {
        const char *name;
        bool is_same;
    } settings[] = {
        {"listen", same_listeners(a, b)},
        {"portal.listen", strcmp(a->portal.listen, b->portal.listen) == 0},
        {"state_dir", strcmp(a->state_dir, b->state_dir) == 0},
        {"admin.socket", strcmp(a->admin.socket, b->admin.socket) == 0},
        {"admin.listen", strcmp(a->admin.listen, b->admin.listen) == 0},
        {"workers", a->workers == b->workers},
        {"uid_base", a->uid_base == b->uid_base},
        {"roles.scanners", a->roles.scanners == b->roles.scanners},
        {"roles.sealers", a->roles.sealers == b->roles.sealers},
    };

    for (size_t i = 0; i < SP_ARRAY_LEN(settings); i++)
        if (!settings[i].is_same)
            return settings[i].name;
    return NULL;
}

static void refuse_restart(struct supervisor *s, const char *setting)
{
    char detail[SP_ERR_TEXT_MAX];

    (void)snprintf(detail, sizeof(detail), "%s: %s has changed, which only a restart takes up",
                   s->config_path, setting);
    sp_log_error(s->log, "supervisor.reload-needs-restart", SP_TEXT("setting", setting));
    trial_unread(s, true, sp_bytes_cstr(detail));
}

static void on_reload(void *arg)
{
    struct supervisor *s = arg;
    struct generation *fresh;
    const char *setting;
    struct sp_buf report;
    size_t fault_at = 0;

    if (s->stopping)
        return;
    sp_role_notify("RELOADING=1");
    sp_buf_init(&report, REPORT_MAX);
    fresh = generation_load(s->config_path, s->now, &report, &fault_at);
    print_report(&report);
    if (fresh == NULL) {
        sp_log_error(s->log, "supervisor.reload-invalid");
        trial_unread(s, false, sp_bytes_slice(sp_buf_bytes(&report), fault_at, SIZE_MAX));
    } else if ((setting = needs_restart(s->now->config, fresh->config)) != NULL) {
        refuse_restart(s, setting);
        generation_free(fresh);
    } else {
        struct generation *before = s->now;

        fresh->number = ++s->newest;
        s->now = fresh;
        root_keep(s);
        sp_log_info(s->log, "supervisor.reload", SP_INT("generation", fresh->number));
        sockets_admin_mode(s);
        trial_begin(s, before);
        renew_start(s);
        ages_look(s);
    }
    sp_buf_clear(&report);
    sp_role_notify("READY=1");
}

/* The roles' programs lie beside us: PREFIX/bin/sallyport, PREFIX/libexec/sallyport/. */
static enum sp_rc find_libexec(struct supervisor *s, struct sp_err *err)
{
    char self[PATH_LEN_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    int len;

    if (n <= 0)
        return sp_fail_errno(err, SP_E_IO, errno, "/proc/self/exe");
    self[n] = '\0';
    memcpy(s->self, self, (size_t)n + 1);
    len = snprintf(s->libexec, sizeof(s->libexec), "%s/../libexec/" SP_LIBEXEC_NAME, dirname(self));
    return len < 0 || (size_t)len >= sizeof(s->libexec) ? sp_fail(err, SP_E_LIMIT, "path too long")
                                                        : SP_OK;
}

/* A role without its program is found now, not when the first message needs it. */
static enum sp_rc find_programs(struct supervisor *s, struct sp_err *err)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(order); i++) {
        char path[PATH_LEN_MAX + 40];

        snprintf(path, sizeof(path), "%s/%s", s->libexec, sp_ipc_role_name(order[i]));
        if (wanted(s->now->config, order[i]) > 0 && access(path, X_OK) != 0)
            return sp_fail_errno(err, SP_E_ROLE_START, errno, "%s", path);
    }
    return SP_OK;
}

static enum sp_rc prepare(struct supervisor *s, struct sp_err *err)
{
    const struct sp_config *c = s->now->config;
    unsigned relays = wanted(c, SP_ROLE_RELAY);
    enum sp_rc rc = find_libexec(s, err);

    (void)umask(077);
    if (rc == SP_OK)
        rc = find_programs(s, err);
    if (rc == SP_OK)
        rc = folders_lock(s, err);
    if (rc == SP_OK)
        rc = folders_make(s, relays, wanted(c, SP_ROLE_SEALER), err);
    if (rc == SP_OK)
        rc = sockets_open(s, relays, err);
    return rc;
}

/* What is left of root once folders are made and ports bound: starting roles under their uids, ending them, reading the
 * configuration anew whoever owns it, and keeping what was read out of swap. */
static enum sp_rc give_up_privileges(struct sp_err *err)
{
    const uint64_t keep = 1ULL << CAP_SETUID | 1ULL << CAP_SETGID | 1ULL << CAP_SETPCAP |
                          1ULL << CAP_KILL | 1ULL << CAP_DAC_READ_SEARCH | 1ULL << CAP_IPC_LOCK;
    enum sp_rc rc = sp_role_caps_keep(keep, err);

    if (rc == SP_OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        rc = sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "no-new-privileges");
    return rc;
}

/* Before any key is read. LeakSanitizer reads its own process when that ends, so its builds stay open. */
static enum sp_rc close_memory(struct sp_err *err)
{
    sp_role_memory_lock_allow();
    (void)sp_role_memory_lock();
#ifdef __SANITIZE_ADDRESS__
    (void)err;
    return SP_OK;
#else
    return sp_role_memory_close(err);
#endif
}

static void add_children(struct supervisor *s)
{
    for (size_t i = 0; i < SP_ARRAY_LEN(order); i++) {
        unsigned count = wanted(s->now->config, order[i]);

        for (unsigned index = 0; index < count; index++)
            child_add(s, order[i], index);
    }
}

static void run(struct supervisor *s)
{
    sigset_t ours;

    s->limit = sp_timer_new(s->loop, on_limit, s);
    s->signals[0] = sp_signal_new(s->loop, SIGTERM, on_stop, s);
    s->signals[1] = sp_signal_new(s->loop, SIGINT, on_stop, s);
    s->signals[2] = sp_signal_new(s->loop, SIGHUP, on_reload, s);
    s->signals[3] = sp_signal_new(s->loop, SIGCHLD, on_child, s);
    s->signals[4] = sp_signal_new(s->loop, SIGUSR2, on_upgrade, s);
    handover_signals(&ours);
    (void)sigprocmask(SIG_UNBLOCK, &ours, NULL);
    s->newest = s->now->number;
    root_keep(s);
    state_open(s);
    add_children(s);
    children_start(s);
    supervisor_progress(s);
    renew_start(s);
    ages_look(s);
    sp_loop_run(s->loop);
    if (s->handing_over)
        handover_exec(s);
    sp_log_info(s->log, "supervisor.stopped");
    for (size_t i = 0; i < SP_ARRAY_LEN(s->signals); i++)
        sp_signal_free(s->signals[i]);
    renew_stop(s);
    sp_timer_free(s->ages);
    sp_timer_free(s->again);
    sp_timer_free(s->limit);
}

static int serve(struct supervisor *s)
{
    struct sp_err err = {0};

    s->loop = sp_loop_new();
    s->log = sp_log_new(STDERR_FILENO, "supervisor", SP_LOG_INFO, sp_loop_clock(s->loop));
    sp_log_info(s->log, "supervisor.started", SP_TEXT("version", SP_VERSION),
                SP_INT("uid_base", s->now->config->uid_base));
    if (prepare(s, &err) == SP_OK && give_up_privileges(&err) == SP_OK) {
        run(s);
    } else {
        fprintf(stderr, "sallyport: %s\n", err.text);
        s->exit_code = EXIT_FAILURE;
    }
    children_clear(s);
    state_close(s);
    handover_clear(s);
    sockets_close(s);
    if (s->lock >= 0)
        close(s->lock);
    sp_log_free(s->log);
    sp_loop_free(s->loop);
    return s->exit_code;
}

/*
 * The relays refuse to start with a policy that this program's loader refuses, and an older one's may have taken it. A supervisor can't
 * compile one: the command that does takes the place of this process, and answers. returns: only if it could not be started
 */
static int try_policy(const struct supervisor *s, char *policy)
{
    char program[PATH_LEN_MAX + 40], name[] = "sallyport", word[] = "policy", second[] = "check";
    char *const words[] = {name, word, second, policy, NULL};
    int none = open("/dev/null", O_WRONLY | O_CLOEXEC);

    snprintf(program, sizeof(program), "%s/cli-policy", s->libexec);
    if (none >= 0)
        (void)dup2(none, STDOUT_FILENO); /* that all is well needs no words */
    (void)execv(program, words);
    perror(program);
    return EXIT_FAILURE;
}

/* Whether we could take over from the gateway that asks: all that `serve` does before it gives up privileges, and the policy. */
static int try_it(struct supervisor *s)
{
    char policy[PATH_LEN_MAX];
    struct sp_err err = {0};

    s->loop = sp_loop_new();
    s->log = sp_log_new(STDERR_FILENO, "supervisor", SP_LOG_WARN, sp_loop_clock(s->loop));
    if (s->handed_count == 0)
        sp_fail(&err, SP_E_USAGE, "--try is for a gateway that runs");
    else if (prepare(s, &err) == SP_OK &&
             path_join(s->now->folder, s->now->config->policy, policy) != SP_OK)
        sp_fail(&err, SP_E_LIMIT, "path too long");
    if (err.rc != SP_OK)
        fprintf(stderr, "sallyport: %s\n", err.text);
    s->admin_socket[0] = '\0'; /* it is the other's */
    handover_clear(s);
    sockets_close(s);
    sp_log_free(s->log);
    sp_loop_free(s->loop);
    return err.rc == SP_OK ? try_policy(s, policy) : EXIT_FAILURE;
}

static int load_and_run(struct supervisor *s, bool is_try)
{
    struct sp_err err = {0};
    struct sp_buf report;
    int code = EXIT_FAILURE;
    size_t fault_at;

    sp_buf_init(&report, REPORT_MAX);
    if (close_memory(&err) == SP_OK && handover_take(s, &err) == SP_OK)
        s->now = generation_load(s->config_path, NULL, &report, &fault_at);
    else
        fprintf(stderr, "sallyport: %s\n", err.text);
    print_report(&report);
    sp_buf_clear(&report);
    if (s->now != NULL)
        code = is_try ? try_it(s) : serve(s);
    trial_clear(s);
    return code;
}

/* What the command line says. */
struct asked {
    const char *config;
    bool is_try; /* asked by a gateway that runs, see try_it() */
    bool help;
};

/* returns: false after saying what is wrong */
static bool read_arguments(int argc, char **argv, struct asked *asked)
{
    const struct cli_option options[] = {
        {"-c", .value = &asked->config},    {"--config", .value = &asked->config},
        {"--try", .is_on = &asked->is_try}, {"--help", .is_on = &asked->help},
        {"-h", .is_on = &asked->help},
    };
    const struct cli_voice voice = {cli_wants_json(argc, argv), "sallyport"};
    struct cli_args args = {.argc = argc - 1, .argv = argv + 1};
    const char *word = cli_next_word(&args, options, SP_ARRAY_LEN(options));

    if (word == NULL && args.wrong == NULL)
        return true;
    (void)cli_refuse(&voice, SERVE_USAGE, "usage", "%s: %s", word != NULL ? word : args.wrong,
                     word != NULL ? "one word too many" : args.why);
    if (!voice.json)
        (void)fputs(usage, stderr);
    return false;
}

int serve_main(int argc, char **argv)
{
    static const struct sigaction ignore = {.sa_handler = SIG_IGN};
    struct asked asked = {.config = "/etc/sallyport/sallyport.json"};
    struct supervisor *s;
    sigset_t ours;
    int code;

    if (!read_arguments(argc, argv, &asked))
        return SERVE_USAGE;
    if (asked.help) {
        printf("%s%s", usage, help);
        return cli_flush(&(struct cli_voice){.name = "sallyport"}, EXIT_SUCCESS, NO_OUTPUT);
    }
    s = sp_calloc(1, sizeof(*s));
    s->lock = s->state = s->state_shown = -1;
    s->config_path = asked.config;
    sp_buf_init(&s->variable, VARIABLE_MAX);
    (void)sigaction(SIGPIPE, &ignore, NULL);
    handover_signals(&ours);
    (void)sigprocmask(SIG_BLOCK, &ours, NULL); /* until run() knows what to do with them */
    code = load_and_run(s, asked.is_try);
    sp_free(s);
    return code;
}
