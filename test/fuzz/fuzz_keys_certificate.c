/*
 * Any bytes as a certificate file. What is taken has a name, an address and bytes that are taken again as the same key.
 */
#include <stdint.h>

#include "base/mem.h"
#include "keys/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_arena *arena = sp_arena_new(4096);
    struct sp_keys_key key;
    struct sp_keys_key again;

    if (sp_keys_certificate_parse(sp_bytes(data, len), sp_bytes(data, len), 1795000000000, arena,
                                  &key, NULL) == SP_OK) {
        sp_assert(key.address_count > 0 && key.bytes.len > 0 && key.id[0] != 0);
        sp_assert(sp_keys_certificate_parse(key.bytes, SP_LIT(""), 0, arena, &again, NULL) ==
                  SP_OK);
        sp_assert(strcmp(key.id, again.id) == 0);
    }
    sp_arena_free(arena);
    return 0;
}
