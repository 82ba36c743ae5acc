/*
 * The page that the supervisor shows, in two halves of which the older is written anew each time: a CRC-32C of what
 * follows, the number of the writing, the JSON and its length. One of them is whole, whatever the supervisor is doing; the newer
 * one that is so tells. Who is kept from reading for two writings sees both in pieces, and reads again.
 */
#include <unistd.h>

#include "admin/admin_priv.h"
#include "base/reader.h"
#include "base/text.h"

#define HALF_LEN ((size_t)128 * 1024) /* gateway/sallyport/state.c has it too */
#define SUM_LEN  4
#define TRIES    20

/* returns: the JSON of a half that is whole, lent, and its number; else nothing, and 0 */
static struct sp_bytes read_half(int fd, size_t which, struct sp_buf *half, uint64_t *number)
{
    uint8_t *room = sp_buf_reserve(half, HALF_LEN);
    ssize_t n = room == NULL ? -1 : pread(fd, room, HALF_LEN, (off_t)(which * HALF_LEN));
    struct sp_reader r;
    struct sp_bytes json;
    uint32_t sum;

    *number = 0;
    if (n <= 0)
        return sp_bytes(NULL, 0);
    sp_buf_commit(half, (size_t)n);
    r = sp_reader(sp_buf_bytes(half));
    sum = sp_reader_u32(&r);
    *number = sp_reader_u64(&r);
    json = sp_reader_var(&r, HALF_LEN);
    if (sp_reader_rc(&r) == SP_OK &&
        sp_crc32c(0, sp_bytes(half->ptr + SUM_LEN, r.at - SUM_LEN)) == sum)
        return json;
    *number = 0;
    return sp_bytes(NULL, 0);
}

static struct sp_json_doc *read_once(int fd, struct sp_buf halves[2])
{
    struct sp_json_doc *json = NULL;
    struct sp_bytes text[2];
    uint64_t number[2];
    bool second;

    for (size_t i = 0; i < 2; i++) {
        sp_buf_reset(&halves[i]);
        text[i] = read_half(fd, i, &halves[i], &number[i]);
    }
    second = number[1] > number[0];
    if (number[second] == 0 || sp_json_parse(text[second], NULL, &json, NULL) != SP_OK)
        return NULL;
    return json;
}

struct sp_json_doc *sp_admin_state_read(const struct sp_admin *a)
{
    int fd = sp_admin_state_fd(a);
    struct sp_json_doc *json = NULL;
    struct sp_buf halves[2];

    sp_buf_init(&halves[0], HALF_LEN);
    sp_buf_init(&halves[1], HALF_LEN);
    for (int i = 0; fd > 0 && json == NULL && i < TRIES; i++)
        json = read_once(fd, halves);
    sp_buf_clear(&halves[0]);
    sp_buf_clear(&halves[1]);
    return json;
}
