/*
 * PROXY headers: what is malformed stays so whatever follows, what is whole does not change with what follows, and a client is
 * always an IP address.
 */
#include "base/mem.h"
#include "io/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes all = sp_bytes(data, len);
    struct sp_proxy whole, part;
    enum sp_rc rc = sp_proxy_parse(all, &whole);

    for (size_t n = 0; n < len && n < 64; n++) {
        enum sp_rc before = sp_proxy_parse(sp_bytes_slice(all, 0, n), &part);

        sp_assert(before != SP_E_MALFORMED || rc == SP_E_MALFORMED);
        sp_assert(before != SP_OK || (rc == SP_OK && part.len == whole.len));
    }
    if (rc != SP_OK)
        return 0;
    sp_assert(whole.len >= 16 && whole.len <= len && whole.len <= SP_PROXY_MAX);
    if (!whole.is_local)
        sp_assert(whole.client.u.sa.sa_family == AF_INET ||
                  whole.client.u.sa.sa_family == AF_INET6);
    return 0;
}
