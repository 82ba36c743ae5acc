/*
 * The root secret that all keys of a generation are derived from, and its mark: a value derived from it that tells two roots
 * apart and opens nothing. A change of the master key keeps the root, so its mark stays for the life of a gateway. Another
 * mark means that the file with the wrapped root is lost (the master key itself would be taken for the root) or that other
 * keys were put in place; going on would rewrite the keyrings under a key that opens nothing else. A reload is compared with
 * the generation before, a start without that file with what root_keep has left in the state folder.
 */
#include "gateway/sallyport/supervisor.h"

#include "crypt/hash.h"
#include "crypt/root.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK_FILE "root.mark" /* in the state folder; there once the master key has been changed */

enum { FILE_MAX = 128 * 1024, MARK_FILE_PATH_MAX = PATH_LEN_MAX + 40 };

enum sp_rc file_read_beside(const char *beside, const char *suffix, struct sp_buf *out,
                            struct sp_err *err)
{
    char path[PATH_LEN_MAX];
    int len = snprintf(path, sizeof(path), "%s%s", beside, suffix);

    if (len < 0 || len >= (int)sizeof(path))
        return sp_fail(err, SP_E_LIMIT, "%s%s: too long a name", beside, suffix);
    return file_read(path, out, err);
}

static enum sp_rc read_once(const char *key, const char *beside, struct root *out,
                            struct sp_err *err)
{
    struct sp_buf master, file;
    enum sp_rc rc;

    sp_buf_init(&master, FILE_MAX);
    sp_buf_init(&file, FILE_MAX);
    rc = file_read(key, &master, err);
    if (rc == SP_OK) {
        rc = file_read_beside(beside, SP_ROOT_FILE, &file, err);
        out->has_file = rc == SP_OK;
        rc = rc == SP_E_NOT_FOUND ? SP_OK : rc;
        if (rc == SP_OK &&
            sp_crypt_root_open(sp_buf_bytes(&master), sp_buf_bytes(&file), &out->secret) != SP_OK)
            rc = sp_fail(err, SP_E_CRYPT_KEY,
                         "the master key must be a file of 32 random bytes, and open the file "
                         "\"" SP_ROOT_FILE "\" beside it, if there is one");
    }
    sp_buf_wipe(&master);
    sp_buf_clear(&file);
    return rc;
}

enum sp_rc root_read(const char *key, const char *beside, struct root *out, struct sp_err *err)
{
    struct sp_secret mark;
    enum sp_rc rc = read_once(key, beside, out, err);

    if (rc == SP_E_CRYPT_KEY) /* it may just have been changed between the two looks */
        rc = read_once(key, beside, out, err);
    if (rc == SP_OK) {
        sp_crypt_hkdf(sp_secret_bytes(&out->secret), SP_LIT("sallyport root mark 1"), &mark);
        memcpy(out->mark, mark.b, ROOT_MARK_LEN);
        sp_secret_clear(&mark);
    }
    return rc;
}

static enum sp_rc mark_path(const struct generation *g, const char *suffix,
                            char out[MARK_FILE_PATH_MAX])
{
    int len = snprintf(out, MARK_FILE_PATH_MAX, "%s/" MARK_FILE "%s", g->state_dir, suffix);

    return len < 0 || len >= MARK_FILE_PATH_MAX ? SP_E_LIMIT : SP_OK;
}

/* returns: SP_E_NOT_FOUND if none was kept */
static enum sp_rc read_mark(const struct generation *g, uint8_t out[ROOT_MARK_LEN],
                            struct sp_err *err)
{
    char path[MARK_FILE_PATH_MAX];
    struct sp_buf file;
    enum sp_rc rc = mark_path(g, "", path);

    sp_buf_init(&file, FILE_MAX);
    if (rc == SP_OK)
        rc = file_read(path, &file, err);
    if (rc == SP_OK && file.len != ROOT_MARK_LEN)
        rc = sp_fail(err, SP_E_CRYPT_KEY, "%s is no mark of a root secret", path);
    if (rc == SP_OK)
        memcpy(out, file.ptr, ROOT_MARK_LEN);
    sp_buf_clear(&file);
    return rc;
}

static enum sp_rc is_other(const char *beside, bool has_file, struct sp_err *err)
{
    if (has_file)
        return sp_fail(err, SP_E_CRYPT_KEY,
                       "%s" SP_ROOT_FILE " holds another root than the one in use: put the one "
                       "before back, with its master key",
                       beside);
    return sp_fail(err, SP_E_CRYPT_KEY,
                   "%s" SP_ROOT_FILE " is missing or the master key is another: what lies in the "
                   "state folder opens with both as they were; put them back from the safe",
                   beside);
}

enum sp_rc root_check(const struct generation *g, const struct generation *before,
                      const char *beside, struct sp_err *err)
{
    uint8_t kept[ROOT_MARK_LEN];
    enum sp_rc rc;

    if (before != NULL)
        return memcmp(before->root_mark, g->root_mark, ROOT_MARK_LEN) == 0
                   ? SP_OK
                   : is_other(beside, g->root_has_file, err);
    if (g->root_has_file)
        return SP_OK;
    rc = read_mark(g, kept, err);
    if (rc == SP_E_NOT_FOUND)
        return SP_OK;
    if (rc == SP_OK && memcmp(kept, g->root_mark, ROOT_MARK_LEN) != 0)
        rc = is_other(beside, false, err);
    return rc;
}

/* Whole or not at all, and durable. */
static bool write_mark(const struct generation *g)
{
    char path[MARK_FILE_PATH_MAX], fresh[MARK_FILE_PATH_MAX];
    bool ok = mark_path(g, "", path) == SP_OK && mark_path(g, ".new", fresh) == SP_OK;
    int fd = -1, folder = -1;

    if (ok) {
        (void)unlink(fresh); /* of a try before */
        fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
        folder = open(g->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    ok = fd >= 0 && folder >= 0 && write(fd, g->root_mark, ROOT_MARK_LEN) == ROOT_MARK_LEN &&
         fsync(fd) == 0 && rename(fresh, path) == 0 && fsync(folder) == 0;
    if (fd >= 0)
        close(fd);
    if (folder >= 0)
        close(folder);
    return ok;
}

void root_keep(const struct supervisor *s)
{
    uint8_t kept[ROOT_MARK_LEN];
    struct sp_err err;

    if (!s->now->root_has_file || (read_mark(s->now, kept, &err) == SP_OK &&
                                   memcmp(kept, s->now->root_mark, ROOT_MARK_LEN) == 0))
        return;
    if (!write_mark(s->now))
        sp_log_warn(s->log, "supervisor.root-unmarked");
}
