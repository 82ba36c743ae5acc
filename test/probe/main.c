/*
 * Starts as a role does (the channel, the bundle, the sandbox), under whichever role's name it was executed, and lives.
 * When a new configuration comes that tells it of targets, it tries everything once and prints a line of JSON for each
 * try. The tries come only then, since the other roles must be there to be tried on.
 */
#include "test/probe/probe.h"

#include "base/mem.h"
#include "base/text.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct probe {
    struct sp_role *role;
    const char *name;
};

int probe_result(long result)
{
    return result < 0 ? errno : 0;
}

int probe_descriptor(int fd)
{
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

int probe_in_child(int (*run)(const struct probe_target *t), const struct probe_target *t)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        close(STDOUT_FILENO); /* what it would print is of no use */
        _exit(run(t));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0; /* killed by a signal: it did run */
}

bool probe_target_parse(struct sp_bytes config, struct probe_target *out)
{
    size_t at = sp_bytes_find_all(config, SP_LIT("// probe "));
    struct sp_bytes line, word;

    if (at == SIZE_MAX)
        return false;
    line = sp_bytes_slice(config, at + 9, SIZE_MAX);
    (void)sp_bytes_split(&line, '\n', &word);
    line = word;
    while (line.len > 0) {
        struct sp_bytes name;
        uint64_t number;

        (void)sp_bytes_split(&line, ' ', &word);
        (void)sp_bytes_split(&word, '=', &name);
        if (!sp_bytes_to_u64(word, &number))
            continue;
        if (sp_bytes_eq(name, SP_LIT("supervisor")))
            out->supervisor = (pid_t)number;
        else if (sp_bytes_eq(name, SP_LIT("other")))
            out->other = (pid_t)number;
        else if (sp_bytes_eq(name, SP_LIT("port")))
            out->port = (uint16_t)number;
    }
    return true;
}

static void say(const char *role, const char *try, int result)
{
    printf("{\"probe\":\"%s\",\"try\":\"%s\",\"result\":\"%s\"}\n", role, try,
           result == 0 ? "yes" : strerrorname_np(result));
    fflush(stdout);
}

static void run_all(const struct probe *p, const struct probe_target *t)
{
    const struct probe_try *const tables[] = {probe_sockets, probe_files, probe_processes,
                                              probe_privileges};

    for (size_t i = 0; i < SP_ARRAY_LEN(tables); i++) {
        for (const struct probe_try *try = tables[i]; try->name != NULL; try++)
            say(p->name, try->name, try->run(t));
    }
    say(p->name, "all tried", 0);
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct probe *p = sp_calloc(1, sizeof(*p));

    (void)err;
    p->role = role;
    *state = p;
    return SP_OK;
}

static enum sp_rc on_reload(struct sp_role *role, void *state, struct sp_err *err)
{
    struct probe *p = state;
    struct probe_target t = {0};
    char base[PROBE_PATH_MAX];

    (void)err;
    if (!probe_target_parse(sp_role_file(role, "sallyport.json"), &t))
        return SP_OK;
    snprintf(t.own, sizeof(t.own), "%s", sp_role_dir(role));
    snprintf(t.state, sizeof(t.state), "%s", sp_role_state_dir(role));
    snprintf(base, sizeof(base), "%s", t.state);
    snprintf(t.config, sizeof(t.config), "%s/config", dirname(base));
    p->name = program_invocation_short_name;
    snprintf(t.others, sizeof(t.others), "%s/%s", t.state,
             strcmp(p->name, "keeper") == 0 ? "ledger" : "keeper");
    run_all(p, &t);
    return SP_OK;
}

static void stop(struct sp_role *role, void *state)
{
    (void)state;
    sp_role_stopped(role);
}

int main(int argc, char **argv)
{
    struct sp_role_ops ops = {
        .start = start, .on_reload = on_reload, .stop = stop, .free = sp_free};

    if (argc != 1 || !sp_ipc_role_parse(sp_bytes_cstr(argv[0]), &ops.kind)) {
        fprintf(stderr, "probe: is started by a supervisor, under the name of a role\n");
        return 64;
    }
    return sp_role_main(&ops);
}
