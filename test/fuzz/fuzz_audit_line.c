/*
 * Audit lines of foreign make. What parses is canonical: written out again it is the same bytes; and an event that can be
 * made into a line gives one that parses.
 */
#include "audit/line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void make(struct sp_bytes event)
{
    struct sp_audit_stamp stamp = {.node = "n", .seq = 1, .time_ms = 1};
    struct sp_audit_line line;
    struct sp_buf out;

    sp_buf_init(&out, SP_AUDIT_LINE_MAX);
    if (sp_audit_line_make(event, &stamp, &out, NULL) == SP_OK) {
        sp_assert(sp_audit_line_parse(sp_buf_bytes(&out), &line, NULL) == SP_OK);
        sp_assert(line.seq == 1 && line.time_ms == 1);
        sp_audit_line_clear(&line);
    }
    sp_buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_bytes text = sp_bytes(data, len);
    struct sp_audit_line line;
    struct sp_buf again;

    if (sp_audit_line_parse(text, &line, NULL) == SP_OK) {
        sp_buf_init(&again, len + 1);
        sp_assert(sp_json_canonical(line.root, &again) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&again), text));
        sp_buf_clear(&again);
        sp_audit_line_clear(&line);
    }
    make(text);
    return 0;
}
