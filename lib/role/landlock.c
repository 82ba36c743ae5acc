/*
 * Landlock: which files a role sees. Own folders in full, the machine's public files for reading, nothing else. The
 * system calls have no wrappers in Debian 12's libc, and its headers know only the first version of the rules, so later
 * rights are spelled out here and asked for only where the kernel knows them.
 */
#include "role/sandbox_priv.h"

#include "base/fault.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                               \
    (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                               \
     LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |  \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_DEVICES  (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define ACCESS_REFER    (1ULL << 13) /* version 2 */
#define ACCESS_TRUNCATE (1ULL << 14) /* version 3 */
#define ACCESS_OF_FILES                                                                            \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE |   \
     ACCESS_TRUNCATE)
#define SCOPES (1ULL << 0 | 1ULL << 1) /* version 6: abstract sockets, signals */

struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

/* Of /etc only what libraries read: our own configuration, with its keys, lies there too. */
static const char *const public_dirs[] = {"/usr",
                                          "/lib",
                                          "/lib64",
                                          "/bin",
                                          "/etc/alternatives",
                                          "/etc/ca-certificates",
                                          "/etc/gai.conf",
                                          "/etc/gnupg",
                                          "/etc/group",
                                          "/etc/host.conf",
                                          "/etc/hosts",
                                          "/etc/ld.so.cache",
                                          "/etc/localtime",
                                          "/etc/nsswitch.conf",
                                          "/etc/passwd",
                                          "/etc/protocols",
                                          "/etc/resolv.conf",
                                          "/etc/services",
                                          "/etc/ssl",
                                          "/proc",
                                          "/sys/devices/system/cpu",
                                          NULL};
static const char *const devices[] = {"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random",
                                      NULL};

/* A path that is not there grants nothing and is no error. */
static enum sp_rc allow(int ruleset, const char *path, uint64_t access, struct sp_err *err)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access};
    struct stat st;
    long rc;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return SP_OK;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    rc = SP_FAULT_ERRNO("role.landlock", ENOMEM)
             ? -1
             : syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    if (rc != 0)
        sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "landlock rule for %s", path);
    close(rule.parent_fd);
    return rc == 0 ? SP_OK : SP_E_ROLE_SANDBOX;
}

static enum sp_rc allow_all(int ruleset, const char *const *paths, uint64_t access,
                            struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    for (; rc == SP_OK && paths != NULL && *paths != NULL; paths++)
        rc = allow(ruleset, *paths, access, err);
    return rc;
}

static enum sp_rc allow_bytes(int ruleset, struct sp_bytes path, uint64_t access,
                              struct sp_err *err)
{
    char *name = sp_strdup_bytes(path);
    enum sp_rc rc = allow(ruleset, name, access, err);

    sp_free(name);
    return rc;
}

static enum sp_rc add_rules(int ruleset, uint64_t handled, const struct sp_role_profile *profile,
                            const struct sp_role_start *start, struct sp_err *err)
{
    uint64_t both = handled & (ACCESS_READ | ACCESS_WRITE | ACCESS_REFER | ACCESS_TRUNCATE);
    uint64_t run = LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE;
    enum sp_rc rc = allow_all(ruleset, public_dirs, ACCESS_READ, err);

    if (rc == SP_OK)
        rc = allow_all(ruleset, devices, both, err);
    if (rc == SP_OK)
        rc = allow_all(ruleset, profile->run, run, err);
    for (size_t i = 0; rc == SP_OK && i < start->dir_count; i++)
        rc = allow_bytes(ruleset, start->dirs[i], both, err);
    for (size_t i = 0; rc == SP_OK && i < start->grant_count; i++)
        rc = allow_bytes(ruleset, start->grants[i].path,
                         start->grants[i].may_write ? both : ACCESS_READ, err);
    return rc;
}

enum sp_rc sp_role_landlock_enter(const struct sp_role_profile *profile,
                                  const struct sp_role_start *start, int *abi, struct sp_err *err)
{
    struct ruleset rules = {.fs = ACCESS_READ | ACCESS_WRITE | ACCESS_DEVICES |
                                  LANDLOCK_ACCESS_FS_EXECUTE};
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    size_t len = version >= 6 ? sizeof(rules) : sizeof(rules.fs);
    enum sp_rc rc;
    int ruleset;

    *abi = 0;
    if (version <= 0)
        return SP_E_UNSUPPORTED;
    rules.fs |= (version >= 2 ? ACCESS_REFER : 0) | (version >= 3 ? ACCESS_TRUNCATE : 0);
    rules.scoped = SCOPES;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &rules, len, 0);
    if (ruleset < 0)
        return sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "landlock ruleset");
    rc = add_rules(ruleset, rules.fs, profile, start, err);
    if (rc == SP_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        rc = sp_fail_errno(err, SP_E_ROLE_SANDBOX, errno, "landlock");
    close(ruleset);
    if (rc == SP_OK)
        *abi = (int)version;
    return rc;
}
