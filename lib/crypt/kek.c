/*
 * HKDF over both secrets together, so that neither alone says anything of the key. The first generation is the one of
 * gateways that have never rotated: derived from the master key alone. An id is derived from the key, so that nobody has to
 * count, and two keys are never taken for one.
 */
#include "crypt/kek.h"

#include "crypt/hash.h"

#include <stdio.h>
#include <string.h>

enum sp_rc sp_crypt_content_kek(struct sp_bytes master, struct sp_bytes generation,
                                struct sp_secret *out, char *id)
{
    uint8_t both[2 * SP_SECRET_LEN];
    struct sp_secret mark;

    if (master.len != SP_SECRET_LEN || (generation.len != 0 && generation.len != SP_SECRET_LEN))
        return SP_E_CRYPT_KEY;
    if (generation.len == 0) {
        sp_crypt_hkdf(master, SP_LIT("sallyport content kek 1"), out);
        (void)snprintf(id, SP_KEK_ID_LEN + 1, "kek-1");
        return SP_OK;
    }
    memcpy(both, master.ptr, SP_SECRET_LEN);
    memcpy(both + SP_SECRET_LEN, generation.ptr, SP_SECRET_LEN);
    sp_crypt_hkdf(sp_bytes(both, sizeof(both)), SP_LIT("sallyport content kek 2"), out);
    sp_wipe(both, sizeof(both));
    sp_crypt_hkdf(sp_secret_bytes(out), SP_LIT("sallyport kek id 1"), &mark);
    (void)snprintf(id, SP_KEK_ID_LEN + 1, "kek-%02x%02x%02x%02x", mark.b[0], mark.b[1], mark.b[2],
                   mark.b[3]);
    sp_secret_clear(&mark);
    return SP_OK;
}
