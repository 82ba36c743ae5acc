/*
 * The key that signs checkpoints. It comes with the bundle from the file that audit.signing_key names: PKCS#8 PEM as
 * `openssl genpkey -algorithm ed25519` writes it, or the 32 bytes alone. Without such a file the ledger makes a key for
 * itself in its own folder at the first start, so that no gateway ever writes an audit file that nobody signs.
 */
#include "gateway/ledger/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/text.h"

#define BUNDLE_NAME "secret/audit.signing_key"
#define OWN_NAME    "audit.key"
#define DER_LEN     48

enum sp_rc ledger_path(struct sp_buf *out, const char *folder, const char *name)
{
    if (name[0] != '/') {
        sp_buf_put_cstr(out, folder);
        sp_buf_put_u8(out, '/');
    }
    sp_buf_put_cstr(out, name);
    sp_buf_put_u8(out, 0);
    return sp_buf_rc(out);
}

/* RFC 8410 7: PrivateKeyInfo of an Ed25519 key without attributes is these 16 bytes and the seed. */
static enum sp_rc read_pem(struct sp_bytes text, struct sp_secret *out)
{
    static const uint8_t prefix[] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                                     0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    struct sp_buf base64;
    struct sp_buf der;
    struct sp_bytes line;
    enum sp_rc rc = SP_E_CRYPT_KEY;

    sp_buf_init(&base64, 1024);
    sp_buf_init(&der, 1024);
    while (sp_bytes_split(&text, '\n', &line)) {
        line = sp_bytes_trim(line);
        if (line.len > 0 && line.ptr[0] != '-')
            sp_buf_put(&base64, line);
    }
    if (sp_buf_rc(&base64) == SP_OK && sp_base64_decode(&der, sp_buf_bytes(&base64)) &&
        der.len == DER_LEN && memcmp(der.ptr, prefix, sizeof(prefix)) == 0)
        rc = sp_secret_parse(sp_bytes(der.ptr + sizeof(prefix), SP_SECRET_LEN), out);
    sp_buf_wipe(&der);
    sp_buf_wipe(&base64);
    return rc;
}

static enum sp_rc read_own(struct ledger *l, const char *path, bool *found, struct sp_err *err)
{
    uint8_t raw[SP_SECRET_LEN + 1];
    int fd = SP_FAULT_ERRNO("ledger.key-open", EMFILE)
                 ? -1
                 : open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;
    enum sp_rc rc;

    *found = fd >= 0;
    if (fd < 0)
        return errno == ENOENT ? SP_OK : sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    n = SP_FAULT_ERRNO("ledger.key-read", EIO) ? -1 : read(fd, raw, sizeof(raw));
    close(fd);
    rc = sp_secret_parse(sp_bytes(raw, n < 0 ? 0 : (size_t)n), &l->signer.secret);
    sp_wipe(raw, sizeof(raw));
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "%s: no key", path);
}

/* Under a passing name: one that a power cut left empty under its own would let no ledger start. */
static bool write_fresh(const struct ledger *l, const char *fresh)
{
    int fd;
    bool ok;

    (void)unlink(fresh); /* of a try before */
    fd = SP_FAULT_ERRNO("ledger.key-make", ENOSPC)
             ? -1
             : open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return false;
    ok = !SP_FAULT_ERRNO("ledger.key-write", ENOSPC) &&
         write(fd, l->signer.secret.b, SP_SECRET_LEN) == SP_SECRET_LEN &&
         !SP_FAULT_ERRNO("ledger.key-sync", EIO) && fsync(fd) == 0;
    close(fd);
    return ok;
}

bool ledger_sync(const struct ledger *l)
{
    int fd = open(sp_role_dir(l->role), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && !SP_FAULT_ERRNO("ledger.sync-folder", EIO) && fsync(fd) == 0;

    if (fd >= 0)
        close(fd);
    return ok;
}

/* Durable before it signs anything: checkpoints of a key that is gone again are nobody's. */
static enum sp_rc make_own(struct ledger *l, const char *path, struct sp_err *err)
{
    struct sp_buf fresh;
    enum sp_rc rc;

    sp_buf_init(&fresh, LEDGER_PATH_MAX);
    rc = ledger_path(&fresh, sp_role_dir(l->role), OWN_NAME ".new");
    if (rc == SP_OK) {
        sp_secret_init(&l->signer.secret, sp_random_system());
        if (!write_fresh(l, (const char *)fresh.ptr) ||
            rename((const char *)fresh.ptr, path) != 0 || !ledger_sync(l))
            rc = sp_fail_errno(err, SP_E_IO, errno, "%s", path);
    }
    sp_buf_clear(&fresh);
    if (rc == SP_OK)
        sp_log_info(l->log, "ledger.key-made");
    return rc;
}

static enum sp_rc own_key(struct ledger *l, struct sp_err *err)
{
    struct sp_buf path;
    bool found = false;
    enum sp_rc rc;

    sp_buf_init(&path, LEDGER_PATH_MAX);
    rc = ledger_path(&path, sp_role_dir(l->role), OWN_NAME);
    if (rc == SP_OK)
        rc = read_own(l, (const char *)path.ptr, &found, err);
    if (rc == SP_OK && !found)
        rc = make_own(l, (const char *)path.ptr, err);
    sp_buf_clear(&path);
    return rc;
}

enum sp_rc ledger_key_load(struct ledger *l, struct sp_err *err)
{
    struct sp_bytes given = sp_role_file(l->role, BUNDLE_NAME);
    uint8_t public_key[SP_SIGN_PUBLIC_LEN];
    enum sp_rc rc;

    if (given.len == 0)
        rc = own_key(l, err);
    else if (given.len == SP_SECRET_LEN)
        rc = sp_secret_parse(given, &l->signer.secret);
    else
        rc = read_pem(given, &l->signer.secret);
    if (rc != SP_OK)
        return sp_fail(err, rc, "audit.signing_key: neither an Ed25519 key in PEM nor 32 bytes");
    rc = sp_sign_public(&l->signer.secret, public_key);
    if (rc == SP_OK &&
        !sp_audit_public_from_raw(sp_bytes(public_key, sizeof(public_key)), &l->signer.key))
        rc = SP_E_CRYPT_KEY;
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "audit.signing_key: can't be used");
}
