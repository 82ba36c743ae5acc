/*
 * Any bytes as JSON. What is taken has a canonical form that is taken again and is its own canonical form. The reader of
 * plain text takes what the one with places takes, no more, and makes the same of it.
 */
#include "json/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void compare_readers(struct sp_bytes text)
{
    struct sp_json_options places = {.file = "fuzz"};
    SP_AUTO(sp_json_doc) plain = NULL;
    SP_AUTO(sp_json_doc) placed = NULL;
    enum sp_rc rc = sp_json_parse(text, &places, &placed, NULL);
    struct sp_buf one, other;

    sp_assert(sp_json_parse(text, NULL, &plain, NULL) == rc);
    if (rc != SP_OK)
        return;
    sp_buf_init(&one, SP_JSON_LEN_MAX * 8);
    sp_buf_init(&other, SP_JSON_LEN_MAX * 8);
    sp_assert(sp_json_canonical(sp_json_root(plain), &one) == SP_OK);
    sp_assert(sp_json_canonical(sp_json_root(placed), &other) == SP_OK);
    sp_assert(sp_bytes_eq(sp_buf_bytes(&one), sp_buf_bytes(&other)));
    sp_buf_clear(&one);
    sp_buf_clear(&other);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_json_options options = {.comments = len % 2 == 0, .file = "fuzz"};
    SP_AUTO(sp_json_doc) doc = NULL;
    struct sp_buf once, twice;
    struct sp_err err;

    compare_readers(sp_bytes(data, len));
    if (sp_json_parse(sp_bytes(data, len), &options, &doc, &err) != SP_OK)
        return 0;
    sp_buf_init(&once, SP_JSON_LEN_MAX * 8);
    sp_buf_init(&twice, SP_JSON_LEN_MAX * 8);
    sp_assert(sp_json_canonical(sp_json_root(doc), &once) == SP_OK);
    if (once.len <= SP_JSON_LEN_MAX) {
        sp_assert(sp_json_canonicalise(sp_buf_bytes(&once), &twice, &err) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&once), sp_buf_bytes(&twice)));
    }
    sp_buf_clear(&once);
    sp_buf_clear(&twice);
    return 0;
}
