/*
 * Files: of its own folder, of others, of the configuration, of the machine; by path, by link and round about /proc.
 */
#include "test/probe/probe.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int try_open(const char *path, int flags)
{
    return probe_descriptor(open(path, flags | O_CLOEXEC, 0600));
}

static int try_under(const char *folder, const char *name, int flags)
{
    char path[2 * PROBE_PATH_MAX];

    if (folder[0] == '\0')
        return ENOENT;
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return try_open(path, flags);
}

static int write_own(const struct probe_target *t)
{
    return try_under(t->own, "probe-file", O_RDWR | O_CREAT);
}

static int read_own(const struct probe_target *t)
{
    return try_under(t->own, ".", O_RDONLY | O_DIRECTORY);
}

static int read_others(const struct probe_target *t)
{
    return try_under(t->others, ".", O_RDONLY | O_DIRECTORY);
}

static int write_others(const struct probe_target *t)
{
    return try_under(t->others, "probe-file", O_WRONLY | O_CREAT);
}

/* The test has left a file there that is the spool's own, with its mode and group. */
static int read_spool(const struct probe_target *t)
{
    return try_under(t->state, "spool/0/probe-segment", O_RDONLY);
}

static int write_spool(const struct probe_target *t)
{
    return try_under(t->state, "spool/0/probe-segment", O_WRONLY);
}

static int read_config(const struct probe_target *t)
{
    return try_under(t->config, "sallyport.json", O_RDONLY);
}

static int list_config(const struct probe_target *t)
{
    return try_under(t->config, ".", O_RDONLY | O_DIRECTORY);
}

static int read_master(const struct probe_target *t)
{
    return try_under(t->config, "keys/master.key", O_RDONLY);
}

static int read_etc(const struct probe_target *t)
{
    (void)t;
    return try_open("/etc/shadow", O_RDONLY);
}

static int read_machine(const struct probe_target *t)
{
    (void)t;
    return try_open("/usr/bin/env", O_RDONLY);
}

static int write_tmp(const struct probe_target *t)
{
    (void)t;
    return try_open("/tmp", O_RDWR | O_TMPFILE);
}

static int write_shm(const struct probe_target *t)
{
    (void)t;
    return try_open("/dev/shm", O_RDWR | O_TMPFILE);
}

/* A link in the own folder, made by the test or here, leads to the master key. */
static int by_link(const struct probe_target *t)
{
    char target[2 * PROBE_PATH_MAX], path[PROBE_PATH_MAX + 100];
    int result;

    if (t->own[0] == '\0')
        return ENOENT;
    snprintf(target, sizeof(target), "%s/keys/master.key", t->config);
    snprintf(path, sizeof(path), "%s/probe-link", t->own);
    if (symlink(target, path) != 0)
        return errno;
    result = try_open(path, O_RDONLY);
    unlink(path);
    return result;
}

static int by_proc_root(const struct probe_target *t)
{
    char path[2 * PROBE_PATH_MAX];

    snprintf(path, sizeof(path), "/proc/self/root%s/keys/master.key", t->config);
    return try_open(path, O_RDONLY);
}

static int by_supervisor(const struct probe_target *t)
{
    char path[2 * PROBE_PATH_MAX];

    snprintf(path, sizeof(path), "/proc/%d/root%s/keys/master.key", (int)t->supervisor, t->config);
    return try_open(path, O_RDONLY);
}

static int device(const struct probe_target *t)
{
    char path[2 * PROBE_PATH_MAX];

    snprintf(path, sizeof(path), "%s/probe-device", t->own[0] == '\0' ? "/tmp" : t->own);
    return probe_result(mknod(path, S_IFBLK | 0600, 0));
}

const struct probe_try probe_files[] = {
    {"write in its own folder", write_own},
    {"read its own folder", read_own},
    {"read another role's folder", read_others},
    {"write in another role's folder", write_others},
    {"read a segment of the spool", read_spool},
    {"write a segment of the spool", write_spool},
    {"read the configuration", read_config},
    {"list the configuration's folder", list_config},
    {"read the master key", read_master},
    {"read the master key by a link", by_link},
    {"read the master key by /proc", by_proc_root},
    {"read the master key by the supervisor's /proc", by_supervisor},
    {"read /etc/shadow", read_etc},
    {"read /usr", read_machine},
    {"write in /tmp", write_tmp},
    {"write in /dev/shm", write_shm},
    {"make a device", device},
    {NULL, NULL},
};
