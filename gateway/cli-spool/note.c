/*
 * What was done here is told to the running gateway, for its audit: by cli-control, the program that speaks with the control
 * socket. Without a gateway nobody can be told of a backup, and it is as good. That the master key is another must not go
 * unsaid: it is left in the ledger's folder, and the ledger takes it into the audit when it starts.
 */
#include "gateway/cli-spool/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PROGRAM  "cli-control"
#define FRESH    SPOOL_NOTE ".new"
#define NOTE_MAX ((size_t)256 << 10) /* gateway/ledger/note.c reads as much */

/* Its own words are left out where ours are JSON: what could not be told is a remark of ours. */
static void run_control(const struct spool *s, char *const argv[])
{
    char path[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof(PROGRAM) - 1);
    char *slash;

    if (n > 0) {
        path[n] = 0;
        slash = strrchr(path, '/');
        memcpy(slash == NULL ? path : slash + 1, PROGRAM, sizeof(PROGRAM));
        if (freopen("/dev/null", "w", stdout) != NULL &&
            (!s->json || freopen("/dev/null", "w", stderr) != NULL))
            (void)execv(path, argv);
    }
    _exit(127);
}

/* returns: whether the gateway has it in its audit */
static bool tell(const struct spool *s, char *const argv[])
{
    int status = 1;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    if (child == 0)
        run_control(s, argv);
    return child >= 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

void spool_note_backup(const struct spool *s, size_t messages)
{
    char count[32];
    char *argv[] = {PROGRAM,    "audit",
                    "note",     "backup",
                    "--folder", (char *)s->target,
                    "--limit",  count,
                    "--config", (char *)s->config_path,
                    NULL};

    (void)snprintf(count, sizeof(count), "%zu", messages);
    if (!tell(s, argv))
        (void)spool_fail(s, 0, "the audit was not told of this backup");
}

/* Appends what was left before. returns: false if that can't be read, or is not from us: it must not be lost, nor go on */
static bool read_left(int folder, const struct stat *like, struct sp_buf *out)
{
    struct stat is;
    int fd = spool_open_theirs(folder, SPOOL_NOTE, &is);
    bool ok;

    if (fd < 0)
        return errno == ENOENT;
    ok = is.st_nlink == 1 && is.st_uid == like->st_uid && spool_read_whole(fd, out);
    (void)close(fd);
    return ok;
}

/* In place of the file, whole and for good, or not at all. like: whose file it is to be */
static bool put_left(int folder, const struct stat *like, struct sp_bytes text)
{
    bool ok;
    int fd;

    (void)unlinkat(folder, FRESH, 0); /* of a try before */
    fd = openat(folder, FRESH, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    ok = write(fd, text.ptr, text.len) == (ssize_t)text.len;
    if (ok && geteuid() == 0)
        ok = fchown(fd, like->st_uid, like->st_gid) == 0;
    ok = fsync(fd) == 0 && ok;
    ok = close(fd) == 0 && ok;
    return ok && renameat(folder, FRESH, folder, SPOOL_NOTE) == 0 && fsync(folder) == 0;
}

/* Another line of the file. The folder is the ledger's, which may plant there what it likes: root follows no link in it. */
static bool leave(const char *path, const char *line)
{
    int folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct sp_buf text;
    struct stat like;
    bool ok;

    if (folder < 0)
        return false;
    sp_buf_init(&text, NOTE_MAX);
    ok = fstat(folder, &like) == 0 && read_left(folder, &like, &text);
    sp_buf_put_cstr(&text, line);
    ok = ok && sp_buf_rc(&text) == SP_OK && put_left(folder, &like, sp_buf_bytes(&text));
    sp_buf_clear(&text);
    (void)close(folder);
    return ok;
}

void spool_note_master(const struct spool *s, const char *what)
{
    char *argv[] = {PROGRAM, "audit", "note", (char *)what, "--config", (char *)s->config_path,
                    NULL};
    char folder[SPOOL_PATH_MAX], text[128];

    if (tell(s, argv))
        return;
    (void)snprintf(text, sizeof(text), "%s %u %lld\n", what, (unsigned)getuid(),
                   (long long)sp_clock_wall_ms(sp_loop_clock(s->loop)));
    if (!spool_path(folder, s->state, "ledger") || !leave(folder, text))
        (void)spool_fail(s, 0,
                         "the audit was not told that the master key is another: %s/" SPOOL_NOTE
                         " can't be written or is not what it should be",
                         folder);
}
