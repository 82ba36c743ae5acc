/*
 * An OpenPGP key's meaning, by gpg: imported into a home that lives for this one call, so that user ids and subkeys
 * without a valid self-signature are gone, listed, and exported minimal. The store keeps what came out, not what came in.
 * Three gpg runs are slow (some 30 ms), but only an import needs them: nothing asks gpg when a key is looked for.
 */
#include "keys/keys.h"

#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <gpgme.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_RSA_BITS 2048
#define GPG          "/usr/bin/gpg"

/* no agent: public keys need none. no locks: nobody else knows the folder */
static const char gpg_conf[] = "no-autostart\nlock-never\nno-random-seed-file\n"
                               "no-auto-check-trustdb\ntrust-model always\n";

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

static void remove_home(const char *home)
{
    nftw(home, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static enum sp_rc make_home(const char *scratch_dir, char *home, size_t len, struct sp_err *err)
{
    char path[PATH_MAX + 16];
    int fd;

    if ((size_t)snprintf(home, len, "%s/gpg.XXXXXX", scratch_dir) >= len || mkdtemp(home) == NULL)
        return sp_fail_errno(err, SP_E_PGP_FAILED, errno, "no folder for gpg");
    snprintf(path, sizeof(path), "%s/gpg.conf", home);
    fd = SP_FAULT_ERRNO("keys.open", ENOSPC)
             ? -1
             : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, gpg_conf, sizeof(gpg_conf) - 1) != (ssize_t)sizeof(gpg_conf) - 1) {
        int saved = errno;

        if (fd >= 0)
            close(fd);
        remove_home(home);
        return sp_fail_errno(err, SP_E_PGP_FAILED, saved, "can't write gpg's configuration");
    }
    close(fd);
    return SP_OK;
}

static enum sp_rc fail(struct sp_err *err, enum sp_rc rc, const char *what, gpgme_error_t code)
{
    char text[128];

    if (gpgme_strerror_r(code, text, sizeof(text)) != 0)
        text[0] = 0;
    return sp_fail(err, rc, "%s: %s", what, text);
}

static enum sp_rc open_context(const char *home, gpgme_ctx_t *ctx, struct sp_err *err)
{
    gpgme_error_t e;

    gpgme_check_version(NULL);
    e = gpgme_new(ctx);
    if (e == 0)
        e = gpgme_ctx_set_engine_info(*ctx, GPGME_PROTOCOL_OpenPGP, GPG, home);
    if (e == 0)
        gpgme_set_offline(*ctx, 1);
    return e == 0 ? SP_OK : fail(err, SP_E_PGP_FAILED, "gpg does not run", e);
}

static enum sp_rc import(gpgme_ctx_t ctx, struct sp_bytes binary, char *fingerprint, size_t len,
                         struct sp_err *err)
{
    gpgme_import_result_t result;
    gpgme_data_t data;
    gpgme_error_t e =
        gpgme_data_new_from_mem(&data, (const char *)binary.ptr, binary.len, 0 /* no copy */);

    if (e != 0)
        return fail(err, SP_E_PGP_FAILED, "no memory for gpg", e);
    e = gpgme_op_import(ctx, data);
    gpgme_data_release(data);
    if (e != 0)
        return fail(err, SP_E_PGP_FAILED, "gpg could not import", e);
    result = gpgme_op_import_result(ctx);
    if (result == NULL || result->secret_read > 0 || result->imported != 1 ||
        result->imports == NULL || result->imports->fpr == NULL)
        return sp_fail(err, SP_E_KEYS_FORMAT, "gpg finds no valid key in the file");
    snprintf(fingerprint, len, "%s", result->imports->fpr);
    return SP_OK;
}

static void describe_algorithm(const struct _gpgme_subkey *subkey, struct sp_keys_key *key)
{
    if (subkey->curve != NULL)
        snprintf(key->algorithm, sizeof(key->algorithm), "%s", subkey->curve);
    else if (subkey->pubkey_algo == GPGME_PK_RSA || subkey->pubkey_algo == GPGME_PK_RSA_E)
        snprintf(key->algorithm, sizeof(key->algorithm), "rsa-%u", subkey->length);
    else
        snprintf(key->algorithm, sizeof(key->algorithm), "%s-%u",
                 gpgme_pubkey_algo_name(subkey->pubkey_algo), subkey->length);
}

/* The encryption subkey that lives longest; a key of no limit beats all. */
static const struct _gpgme_subkey *best_subkey(const struct _gpgme_key *listed)
{
    const struct _gpgme_subkey *best = NULL;

    for (const struct _gpgme_subkey *s = listed->subkeys; s != NULL; s = s->next) {
        if (!s->can_encrypt || s->revoked || s->invalid || s->disabled ||
            (s->curve == NULL && s->length < MIN_RSA_BITS))
            continue;
        if (best == NULL || (best->expires != 0 && (s->expires == 0 || s->expires > best->expires)))
            best = s;
    }
    return best;
}

static void read_addresses(const struct _gpgme_key *listed, struct sp_keys_key *key)
{
    for (gpgme_user_id_t u = listed->uids; u != NULL; u = u->next)
        if (!u->revoked && !u->invalid && u->address != NULL &&
            key->address_count < SP_KEYS_ADDRESSES_MAX &&
            sp_keys_address_normalise(sp_bytes_cstr(u->address),
                                      key->addresses[key->address_count]))
            key->address_count++;
}

static enum sp_rc describe(const struct _gpgme_key *listed, struct sp_keys_key *key,
                           struct sp_err *err)
{
    const struct _gpgme_subkey *primary = listed->subkeys;
    const struct _gpgme_subkey *subkey = best_subkey(listed);
    long expires;

    if (listed->revoked || listed->invalid || listed->disabled || primary == NULL)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key is revoked or not valid");
    if (subkey == NULL)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key has no usable subkey to encrypt to");
    read_addresses(listed, key);
    if (key->address_count == 0)
        return sp_fail(err, SP_E_KEYS_UNUSABLE, "the key names no mail address");
    expires = subkey->expires;
    if (primary->expires != 0 && (expires == 0 || primary->expires < expires))
        expires = primary->expires;
    key->kind = SP_KEYS_PGP;
    key->not_before_ms = (int64_t)primary->timestamp * 1000;
    key->not_after_ms = (int64_t)expires * 1000;
    describe_algorithm(subkey, key);
    snprintf(key->id, sizeof(key->id), "pgp:%.70s", listed->fpr);
    return SP_OK;
}

static enum sp_rc export_minimal(gpgme_ctx_t ctx, const char *fingerprint, struct sp_arena *arena,
                                 struct sp_keys_key *key, struct sp_err *err)
{
    gpgme_data_t data;
    gpgme_error_t e = gpgme_data_new(&data);
    char *bytes;
    size_t len = 0;

    if (e == 0)
        e = gpgme_op_export(ctx, fingerprint, GPGME_EXPORT_MODE_MINIMAL, data);
    if (e != 0)
        return fail(err, SP_E_PGP_FAILED, "gpg could not export", e);
    bytes = gpgme_data_release_and_get_mem(data, &len);
    if (bytes != NULL && len > 0 && len <= SP_KEYS_BYTES_MAX)
        key->bytes = sp_arena_copy(arena, sp_bytes(bytes, len));
    gpgme_free(bytes);
    if (key->bytes.len == 0)
        return sp_fail(err, SP_E_LIMIT, "the key is larger than %u bytes", SP_KEYS_BYTES_MAX);
    return SP_OK;
}

static enum sp_rc ask_gpg(const char *home, struct sp_bytes binary, struct sp_arena *arena,
                          struct sp_keys_key *key, struct sp_err *err)
{
    char fingerprint[SP_KEYS_ID_MAX];
    gpgme_ctx_t ctx = NULL;
    gpgme_key_t listed = NULL;
    gpgme_error_t e;
    enum sp_rc rc = open_context(home, &ctx, err);

    if (rc == SP_OK)
        rc = import(ctx, binary, fingerprint, sizeof(fingerprint), err);
    if (rc == SP_OK) {
        e = gpgme_get_key(ctx, fingerprint, &listed, 0);
        rc = e == 0 ? describe(listed, key, err)
                    : fail(err, SP_E_PGP_FAILED, "gpg could not list", e);
    }
    if (rc == SP_OK)
        rc = export_minimal(ctx, fingerprint, arena, key, err);
    if (listed != NULL)
        gpgme_key_unref(listed);
    if (ctx != NULL)
        gpgme_release(ctx);
    return rc;
}

enum sp_rc sp_keys_pgp_parse(struct sp_bytes file, const char *scratch_dir, struct sp_arena *arena,
                             struct sp_keys_key *out, struct sp_err *err)
{
    struct sp_keys_key *key;
    char home[PATH_MAX];
    struct sp_buf binary;
    enum sp_rc rc;

    sp_buf_init(&binary, SP_KEYS_IMPORT_MAX);
    rc = sp_keys_pgp_check(file, &binary, err);
    if (rc == SP_OK)
        rc = make_home(scratch_dir, home, sizeof(home), err);
    if (rc == SP_OK) {
        key = sp_calloc(1, sizeof(*key));
        rc = ask_gpg(home, sp_buf_bytes(&binary), arena, key, err);
        remove_home(home);
        if (rc == SP_OK)
            *out = *key;
        sp_free(key);
    }
    sp_buf_clear(&binary);
    return rc;
}
