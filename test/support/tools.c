/*
 * Commands are run by fork and exec of /bin/sh, never in the test's own process, so that sanitizers see only our code.
 */
#include "support/tools.h"

#include "base/mem.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATH_LEN    512
#define COMMAND_LEN 8192

char *tool_dir_new(void)
{
    char *dir = sp_strdup("/tmp/sp-XXXXXX");

    ck_assert_ptr_nonnull(mkdtemp(dir));
    return dir;
}

static void in_child(const char *dir, const char *command)
{
    int log;

    if (chdir(dir) != 0)
        _exit(126);
    log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (log < 0 || dup2(log, STDOUT_FILENO) < 0 || dup2(log, STDERR_FILENO) < 0)
        _exit(126);
    log = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (log < 0 || dup2(log, STDIN_FILENO) < 0)
        _exit(126);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

static int run(const char *dir, const char *command)
{
    pid_t pid = fork();
    int status = 0;

    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        in_child(dir, command);
    while (waitpid(pid, &status, 0) < 0)
        ck_assert_int_eq(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int tool_run(const char *dir, const char *fmt, ...)
{
    char command[COMMAND_LEN];
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    ck_assert_int_lt(len, COMMAND_LEN);
    return run(dir, command);
}

void tool_must(const char *dir, const char *fmt, ...)
{
    char command[COMMAND_LEN];
    struct sp_buf log;
    va_list args;
    int len;
    int code;

    va_start(args, fmt);
    len = vsnprintf(command, sizeof(command), fmt, args);
    va_end(args);
    ck_assert_int_lt(len, COMMAND_LEN);
    code = run(dir, command);
    if (code == 0)
        return;
    sp_buf_init(&log, 1U << 20);
    tool_read(dir, "log", &log);
    ck_abort_msg("%s: exit code %d: %.*s", command, code, SP_FMT(sp_buf_bytes(&log)));
}

void tool_dir_free(char *dir)
{
    if (dir == NULL)
        return;
    ck_assert_int_eq(tool_run(dir, "cd / && rm -rf '%s'", dir), 0);
    sp_free(dir);
}

static void path_of(const char *dir, const char *name, char *out)
{
    ck_assert_int_lt(snprintf(out, PATH_LEN, "%s/%s", dir, name), PATH_LEN);
}

void tool_write(const char *dir, const char *name, struct sp_bytes data)
{
    char path[PATH_LEN];
    FILE *f;

    path_of(dir, name, path);
    f = fopen(path, "wbe");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data.ptr, 1, data.len, f), data.len);
    ck_assert_int_eq(fclose(f), 0);
}

void tool_read(const char *dir, const char *name, struct sp_buf *out)
{
    char path[PATH_LEN];
    uint8_t piece[8192];
    size_t got;
    FILE *f;

    path_of(dir, name, path);
    f = fopen(path, "rbe");
    ck_assert_msg(f != NULL, "%s can't be opened", path);
    while ((got = fread(piece, 1, sizeof(piece), f)) > 0)
        sp_buf_put(out, sp_bytes(piece, got));
    fclose(f);
    ck_assert_int_eq(sp_buf_rc(out), SP_OK);
}
