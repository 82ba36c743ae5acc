/*
 * Any bytes as an OpenPGP key file. What is taken is binary data that is taken again as it is.
 */
#include <stdint.h>

#include "base/mem.h"
#include "keys/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_buf binary;
    struct sp_buf again;

    sp_buf_init(&binary, SP_KEYS_IMPORT_MAX);
    sp_buf_init(&again, SP_KEYS_IMPORT_MAX);
    if (sp_keys_pgp_check(sp_bytes(data, len), &binary, NULL) == SP_OK &&
        sp_bytes_find_all(sp_buf_bytes(&binary), SP_LIT("-----")) == SIZE_MAX) {
        sp_assert(sp_keys_pgp_check(sp_buf_bytes(&binary), &again, NULL) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&binary), sp_buf_bytes(&again)));
    }
    sp_buf_clear(&binary);
    sp_buf_clear(&again);
    return 0;
}
