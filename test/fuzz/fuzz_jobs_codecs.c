/*
 * Every codec, chosen by the first byte: what decodes, encodes to the same bytes again. So no two frames mean the same,
 * and nothing is read that is not there.
 */
#include "base/mem.h"
#include "jobs/act.h"
#include "jobs/bounce.h"
#include "jobs/command.h"
#include "jobs/deposit.h"
#include "jobs/contacts.h"
#include "jobs/fetch.h"
#include "jobs/keys.h"
#include "jobs/posture.h"
#include "jobs/suppress.h"
#include "jobs/report.h"
#include "jobs/scan.h"
#include "jobs/seal.h"
#include "jobs/submit.h"
#include "jobs/wishes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* One function a codec: decodes data, and if that went well encodes to out and returns true. */
#define PLAIN(name)                                                                                \
    static bool try_##name(struct sp_bytes data, struct sp_arena *arena, struct sp_buf *out)       \
    {                                                                                              \
        struct sp_jobs_##name x;                                                                   \
        (void)arena;                                                                               \
        if (sp_jobs_##name##_decode(data, &x) != SP_OK)                                            \
            return false;                                                                          \
        sp_jobs_##name##_encode(out, &x);                                                          \
        return true;                                                                               \
    }
#define LISTS(name)                                                                                \
    static bool try_##name(struct sp_bytes data, struct sp_arena *arena, struct sp_buf *out)       \
    {                                                                                              \
        struct sp_jobs_##name x;                                                                   \
        if (sp_jobs_##name##_decode(data, arena, &x) != SP_OK)                                     \
            return false;                                                                          \
        sp_jobs_##name##_encode(out, &x);                                                          \
        return true;                                                                               \
    }
PLAIN(scan_request)
LISTS(scan_reply)
LISTS(seal_request)
PLAIN(seal_reply)
PLAIN(deposit_request)
PLAIN(deposit_reply)
PLAIN(keys_request)
LISTS(keys_reply)
PLAIN(command_request)
PLAIN(command_reply)
PLAIN(act_request)
PLAIN(submit_request)
PLAIN(submit_reply)
LISTS(fetch_request)
PLAIN(fetch_reply)
LISTS(posture)
LISTS(suppress)
LISTS(contacts)
LISTS(wishes)
PLAIN(report_request)
LISTS(report_reply)
PLAIN(bounce_request)
LISTS(bounce_reply)
PLAIN(origin_request)
PLAIN(origin_reply)
PLAIN(returned_request)

static bool (*const codecs[])(struct sp_bytes, struct sp_arena *, struct sp_buf *) = {
    try_scan_request,     try_scan_reply,    try_seal_request,   try_seal_reply,
    try_deposit_request,  try_deposit_reply, try_keys_request,   try_keys_reply,
    try_command_request,  try_command_reply, try_act_request,    try_submit_request,
    try_submit_reply,     try_fetch_request, try_fetch_reply,    try_posture,
    try_report_request,   try_report_reply,  try_suppress,       try_contacts,
    try_bounce_request,   try_bounce_reply,  try_origin_request, try_origin_reply,
    try_returned_request, try_wishes,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct sp_arena *arena;
    struct sp_buf out;

    if (len < 1 || data[0] >= SP_ARRAY_LEN(codecs))
        return 0;
    arena = sp_arena_new(4096);
    sp_buf_init(&out, len);
    if (codecs[data[0]](sp_bytes(data + 1, len - 1), arena, &out)) {
        sp_assert(sp_buf_rc(&out) == SP_OK);
        sp_assert(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes(data + 1, len - 1)));
    }
    sp_buf_clear(&out);
    sp_arena_free(arena);
    return 0;
}
