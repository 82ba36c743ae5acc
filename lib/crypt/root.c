/*
 * A magic word, then the root wrapped (crypt/wrap.h) under a key derived from each master key that opens it: derived, since
 * the master key of a gateway that never changed it is used as the root itself, and one key has one use. Which entry is
 * whose is not written: there are two at most, and each is tried.
 */
#include "crypt/root.h"

#include "crypt/hash.h"
#include "crypt/wrap.h"

#define MAGIC   SP_LIT("sallyport root 1\n")
#define CONTEXT SP_LIT("sallyport root 1")

/* owner: the caller */
static struct sp_aead *key_of(struct sp_bytes master)
{
    struct sp_secret under;
    struct sp_aead *key;

    sp_crypt_hkdf(master, SP_LIT("sallyport root kek 1"), &under);
    key = sp_aead_new(&under);
    sp_secret_clear(&under);
    return key;
}

static enum sp_rc open_entries(struct sp_bytes master, struct sp_bytes entries,
                               struct sp_secret *out)
{
    struct sp_aead *key = key_of(master);
    enum sp_rc rc = SP_E_CRYPT_KEY;

    for (size_t at = 0; rc != SP_OK && at + SP_WRAPPED_LEN <= entries.len; at += SP_WRAPPED_LEN)
        rc = sp_crypt_unwrap(key, CONTEXT, sp_bytes_slice(entries, at, SP_WRAPPED_LEN), out);
    sp_aead_free(key);
    return rc == SP_OK ? SP_OK : SP_E_CRYPT_KEY;
}

enum sp_rc sp_crypt_root_open(struct sp_bytes master, struct sp_bytes file, struct sp_secret *out)
{
    struct sp_bytes entries;

    if (master.len != SP_SECRET_LEN)
        return SP_E_CRYPT_KEY;
    if (file.len == 0)
        return sp_secret_parse(master, out);
    entries = sp_bytes_slice(file, MAGIC.len, file.len);
    if (!sp_bytes_eq(sp_bytes_slice(file, 0, MAGIC.len), MAGIC) ||
        entries.len % SP_WRAPPED_LEN != 0 || file.len > SP_ROOT_FILE_MAX)
        return SP_E_CRYPT_KEY;
    return open_entries(master, entries, out);
}

void sp_crypt_root_seal(const struct sp_secret *root, const struct sp_secret *masters, size_t count,
                        const struct sp_random *random, struct sp_buf *out)
{
    sp_buf_put(out, MAGIC);
    for (size_t i = 0; i < count; i++) {
        struct sp_aead *key = key_of(sp_secret_bytes(&masters[i]));
        uint8_t wrapped[SP_WRAPPED_LEN];

        sp_crypt_wrap(key, random, CONTEXT, root, wrapped);
        sp_buf_put(out, sp_bytes(wrapped, sizeof(wrapped)));
        sp_aead_free(key);
    }
}
