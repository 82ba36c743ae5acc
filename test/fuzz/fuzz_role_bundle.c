/*
 * Bundles (first byte 0) and control frames (1 start, 2 peer, 3 result): what decodes encodes to the same again.
 */
#include "base/mem.h"
#include "role/bundle.h"
#include "role/control.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool again(uint8_t which, struct sp_bytes data, struct sp_buf *out)
{
    static struct sp_role_start start; /* large; filled anew each time */
    SP_AUTO(sp_role_bundle) bundle = NULL;
    struct sp_role_peer peer;
    struct sp_role_result result;

    if (which == 0 && sp_role_bundle_decode(data, &bundle) == SP_OK)
        sp_role_bundle_encode(bundle, out);
    else if (which == 1 && sp_role_start_decode(data, &start) == SP_OK)
        sp_role_start_encode(out, &start);
    else if (which == 2 && sp_role_peer_decode(data, &peer) == SP_OK)
        sp_role_peer_encode(out, &peer);
    else if (which == 3 && sp_role_result_decode(data, &result) == SP_OK)
        sp_role_result_encode(out, &result);
    else
        return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_buf out;

    if (len < 1)
        return 0;
    sp_buf_init(&out, len);
    if (again(data[0], sp_bytes(data + 1, len - 1), &out)) {
        sp_assert(sp_buf_rc(&out) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes(data + 1, len - 1)));
    }
    sp_buf_clear(&out);
    return 0;
}
