/*
 * Package files: packages/ID holds one content's sealed chunks and nothing else. Written beside, synced, renamed, folder
 * synced, before the row that names it; so a row has always its file, and a file without a row is rubbish.
 */
#include "portal/portal_priv.h"

#include "base/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_LEN SP_CONTENT_CHUNK

struct sp_bytes sp_portal_key_context(const char *id)
{
    return sp_bytes_cstr(id);
}

void sp_portal_key_name(const char *id, char *out)
{
    size_t len = strlen(id);

    snprintf(out, SP_PORTAL_KEY_MAX, "pk-%s", len > 10 ? id + len - 10 : id);
}

static void path_of(const struct sp_portal *p, const char *id, const char *tail, struct sp_buf *out)
{
    sp_buf_init(out, 4096);
    sp_buf_printf(out, "%s/%s%s", p->packages_dir, id, tail);
    sp_buf_put_u8(out, 0);
    sp_assert(sp_buf_rc(out) == SP_OK);
}

static enum sp_rc copy_plain(struct sp_content *from, struct sp_content_writer *w)
{
    SP_AUTO(sp_content_reader) reader = sp_content_reader_new(from);
    uint64_t at = 0;

    while (at < from->len) {
        struct sp_bytes piece;
        enum sp_rc rc = sp_content_view(reader, at, &piece);

        if (rc == SP_OK && piece.len == 0)
            rc = SP_E_CONTENT_TRUNCATED;
        if (rc == SP_OK)
            rc = sp_content_writer_feed(w, piece);
        if (rc != SP_OK)
            return rc;
        at += piece.len;
    }
    return sp_content_writer_finish(w);
}

static enum sp_rc sync_dir(const char *path)
{
    int fd = SP_FAULT("portal.open-dir") ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || SP_FAULT("portal.sync-dir") || fsync(fd) != 0;

    if (fd >= 0)
        close(fd);
    return failed ? SP_E_IO : SP_OK;
}

enum sp_rc sp_portal_vault_make(struct sp_portal *p, struct sp_err *err)
{
    if ((SP_FAULT_ERRNO("portal.folder", ENOSPC) || mkdir(p->packages_dir, 0700) != 0) &&
        errno != EEXIST)
        return sp_fail_errno(err, SP_E_IO, errno, "%s", p->packages_dir);
    if (sync_dir(p->o.dir) != SP_OK)
        return sp_fail(err, SP_E_IO, "%s can't be synced", p->o.dir);
    return SP_OK;
}

/* Writes and syncs the file under its passing name. */
static enum sp_rc write_part(const char *path, struct sp_content *from, struct sp_content_writer *w,
                             struct sp_err *err)
{
    int fd = SP_FAULT_ERRNO("portal.create", ENOSPC)
                 ? -1
                 : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    struct sp_content_sink sink = {sp_content_sink_fd, &fd};
    enum sp_rc rc;

    if (fd < 0)
        return sp_fail_errno(err, SP_E_IO, errno, "a package file could not be made");
    rc = sp_content_writer_spill(w, &sink);
    if (rc == SP_OK)
        rc = copy_plain(from, w);
    if (rc != SP_OK)
        sp_fail(err, rc, "a package could not be written");
    else if (SP_FAULT_ERRNO("portal.sync", EIO) || fdatasync(fd) != 0)
        rc = sp_fail_errno(err, SP_E_IO, errno, "a package could not be synced");
    if (close(fd) != 0 && rc == SP_OK)
        rc = sp_fail_errno(err, SP_E_IO, errno, "a package could not be closed");
    return rc;
}

enum sp_rc sp_portal_vault_write(struct sp_portal *p, const char *id, struct sp_content *from,
                                 struct sp_content_writer *w, struct sp_err *err)
{
    struct sp_buf part, whole;
    enum sp_rc rc;

    path_of(p, id, ".part", &part);
    path_of(p, id, "", &whole);
    rc = write_part((char *)part.ptr, from, w, err);
    if (rc == SP_OK &&
        (SP_FAULT_ERRNO("portal.rename", EIO) || rename((char *)part.ptr, (char *)whole.ptr) != 0))
        rc = sp_fail_errno(err, SP_E_IO, errno, "a package could not be renamed");
    if (rc == SP_OK) {
        rc = sync_dir(p->packages_dir);
        if (rc != SP_OK)
            sp_fail(err, rc, "the folder of packages could not be synced");
    }
    if (rc != SP_OK) {
        unlink((char *)part.ptr);
        unlink((char *)whole.ptr);
    }
    sp_buf_clear(&part);
    sp_buf_clear(&whole);
    return rc;
}

enum sp_rc sp_portal_vault_open(struct sp_portal *p, const struct portal_package *pkg,
                                struct sp_content *out)
{
    struct sp_buf path;
    enum sp_rc rc;

    sp_content_init(out);
    if (!pkg->has_key)
        return SP_E_PORTAL_EXPIRED;
    rc = sp_crypt_unwrap(p->kek, sp_portal_key_context(pkg->id),
                         sp_bytes(pkg->wrapped, SP_WRAPPED_LEN), &out->key);
    if (rc != SP_OK)
        return rc;
    path_of(p, pkg->id, "", &path);
    out->fd =
        SP_FAULT("portal.open") ? -1 : open((char *)path.ptr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    sp_buf_clear(&path);
    out->id = pkg->message;
    out->len = (uint64_t)pkg->len;
    if (out->fd < 0) {
        sp_content_clear(out);
        return SP_E_IO;
    }
    return SP_OK;
}

void sp_portal_vault_remove(struct sp_portal *p, const char *id)
{
    struct sp_buf path;

    path_of(p, id, "", &path);
    if ((SP_FAULT_ERRNO("portal.unlink", EIO) || unlink((char *)path.ptr) != 0) && errno != ENOENT)
        sp_log_warn(p->o.log, "portal.remove-failed");
    sp_buf_clear(&path);
}

void sp_portal_vault_tidy(struct sp_portal *p)
{
    DIR *dir = SP_FAULT("portal.list") ? NULL : opendir(p->packages_dir);
    struct dirent *e;

    if (dir == NULL)
        return;
    /* one thread reads this folder, and readdir is safe on a stream of its own */
    while ((e = readdir(dir)) != NULL) { /* NOLINT(concurrency-mt-unsafe): ours alone */
        struct sp_bytes name = sp_bytes_cstr(e->d_name);
        struct portal_package pkg;
        enum sp_rc rc = sp_portal_find_id(p, name, &pkg);

        if (e->d_name[0] != '.' && (rc == SP_E_NOT_FOUND || (rc == SP_OK && !pkg.has_key)))
            sp_portal_vault_remove(p, e->d_name);
    }
    closedir(dir);
}
