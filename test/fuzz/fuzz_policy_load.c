/*
 * Any bytes as a policy that may extend a good one. Either a policy or at least one problem; a policy decides, tells the
 * same in its trace, and never lets a floor fall below what its settings say without a reason.
 */
#include "policy/policy.h"
#include "policy/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const char base[] =
    "{\"version\": 1, \"ladders\": {\"everyday\": {\"rungs\": [\"tls:dane\", \"tls:encrypted\", "
    "\"portal\"], "
    "\"floor\": \"tls:encrypted\"}, \"sealed\": {\"rungs\": [\"smime\", \"portal\"], \"floor\": "
    "\"sealed\"}}, "
    "\"texts\": {\"no\": \"No.\"}, \"default\": {\"protect\": \"everyday\"}}";

static enum sp_rc read_file(void *ctx, const char *name, struct sp_bytes *out)
{
    const struct sp_bytes *main_text = ctx;

    if (strcmp(name, "policies/policy.json") == 0)
        *out = *main_text;
    else if (strcmp(name, "policies/base.json") == 0)
        *out = sp_bytes_cstr(base);
    else if (strcmp(name, "policies/list.txt") == 0)
        *out = *main_text;
    else
        return SP_E_NOT_FOUND;
    return SP_OK;
}

static void decide(const struct sp_policy *p, bool scanned)
{
    struct sp_facts f;
    struct sp_decision d, told;
    struct sp_policy_trace trace;

    sp_facts_init(&f);
    sp_facts_set_sender(&f, SP_LIT("a@b.example"));
    sp_facts_set_recipient(&f, SP_LIT("c@d.example"));
    (void)sp_policy_decide_envelope(p, &f, &d);
    if (scanned)
        sp_facts_set_scan(&f, SP_SCAN_COMPLETE);
    sp_facts_close_stage(&f, SP_STAGE_HEADER);
    sp_facts_close_stage(&f, SP_STAGE_CONTENT);
    sp_policy_decide(p, &f, &d);
    sp_policy_explain(p, &f, &told, &trace);
    sp_assert(d.verb == told.verb && d.floor == told.floor && strcmp(d.rule, told.rule) == 0);
    sp_assert(d.ladder == NULL || d.floor >= sp_policy_floor(p) || d.lowers != NULL);
    sp_assert(d.ladder == NULL || d.floor >= d.ladder->floor);
    sp_policy_trace_clear(&trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes text = sp_bytes(data, len);
    struct sp_policy_reader reader = {.read = read_file, .ctx = &text};
    SP_AUTO(sp_problems) problems = sp_problems_new();
    SP_AUTO(sp_policy) p = NULL;
    enum sp_rc rc = sp_policy_load(&reader, "policies/policy.json", problems, &p);

    sp_assert((rc == SP_OK) == (p != NULL));
    sp_assert((p == NULL) == (sp_problems_errors(problems) > 0));
    if (p != NULL) {
        decide(p, true);
        decide(p, false);
    }
    return 0;
}
