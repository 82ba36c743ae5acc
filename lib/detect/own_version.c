/*
 * What could change a verdict, in one word: what the detector is built of and, behind a plus sign, a digest of what an organisation adds.
 */
#include "detect/own.h"

#include <stdio.h>

#include "crypt/hash.h"

void sp_detect_own_version(struct sp_bytes text, struct sp_bytes index,
                           char out[SP_DETECT_VERSION_LEN])
{
    uint8_t digest[SP_SHA256_LEN];

    if (text.len == 0 && index.len == 0) {
        (void)snprintf(out, SP_DETECT_VERSION_LEN, "%s", sp_detect_version());
        return;
    }
    sp_crypt_sha256_both(text, index, digest);
    (void)snprintf(out, SP_DETECT_VERSION_LEN, "%s+%02x%02x%02x%02x", sp_detect_version(),
                   digest[0], digest[1], digest[2], digest[3]);
}
