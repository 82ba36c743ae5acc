/*
 * Foreign packets: whatever comes, the answer is an error or a well-formed list, names are clean text, and only an AD
 * bit of a trusted server makes it secure.
 */
#include "dns/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_name(struct sp_bytes name)
{
    for (size_t i = 0; i < name.len; i++)
        sp_assert(sp_ascii_is_alnum(name.ptr[i]) || name.ptr[i] == '-' || name.ptr[i] == '_' ||
                  name.ptr[i] == '.');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum sp_dns_type types[] = {
        SP_DNS_A,    SP_DNS_AAAA,   SP_DNS_CNAME,      SP_DNS_MX,  SP_DNS_TXT,
        SP_DNS_TLSA, SP_DNS_SMIMEA, SP_DNS_OPENPGPKEY, SP_DNS_SRV, SP_DNS_PTR};
    const struct sp_dns_answer *a;
    struct sp_bytes packet;

    if (len == 0)
        return 0;
    packet = sp_bytes(data + 1, len - 1);
    (void)sp_dns_wire_is_cut(packet);
    a = sp_dns_wire_read(packet, types[data[0] % SP_ARRAY_LEN(types)], (data[0] & 0x80) != 0, 0);
    sp_assert(!a->secure || (data[0] & 0x80) != 0);
    sp_assert(a->rc == SP_OK ? a->count > 0 : a->count == 0);
    check_name(a->owner);
    for (size_t i = 0; i < a->count; i++)
        check_name(a->records[i].name);
    sp_dns_answer_unref(a);
    return 0;
}
