/*
 * Any bytes as settings and as a tenant: either a structure or at least one problem, never both nor neither.
 */
#include "config/config.h"
#include "config/tenant.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    SP_AUTO(sp_problems) p = sp_problems_new();
    SP_AUTO(sp_problems) q = sp_problems_new();
    SP_AUTO(sp_config) c = NULL;
    SP_AUTO(sp_tenant) t = NULL;

    (void)!sp_config_load(sp_bytes(data, len), "fuzz.json", p, &c);
    sp_assert((c == NULL) == (sp_problems_errors(p) > 0));
    (void)!sp_tenant_load(sp_bytes(data, len), "fuzz.json", q, &t);
    sp_assert((t == NULL) == (sp_problems_errors(q) > 0));
    return 0;
}
