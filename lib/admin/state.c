/*
 * The page that the supervisor shows: eight hexadecimal digits of CRC-32C and JSON behind them. Who reads while it is
 * written sees a mixture of two, which the checksum tells: it is read again.
 */
#include <stdio.h>
#include <unistd.h>

#include "admin/admin_priv.h"
#include "base/text.h"

#define STATE_MAX ((size_t)256 * 1024)
#define SUM_LEN   8
#define TRIES     20

static bool read_once(int fd, struct sp_buf *page)
{
    uint8_t *room = sp_buf_reserve(page, STATE_MAX);
    ssize_t n = room == NULL ? -1 : pread(fd, room, STATE_MAX, 0);
    char sum[SUM_LEN + 1];

    if (n <= SUM_LEN)
        return false;
    sp_buf_commit(page, (size_t)n);
    snprintf(sum, sizeof(sum), "%08x",
             sp_crc32c(0, sp_bytes_slice(sp_buf_bytes(page), SUM_LEN, SIZE_MAX)));
    return memcmp(sum, page->ptr, SUM_LEN) == 0;
}

struct sp_json_doc *sp_admin_state_read(const struct sp_admin *a)
{
    int fd = sp_admin_state_fd(a);
    struct sp_json_doc *json = NULL;
    struct sp_buf page;

    sp_buf_init(&page, STATE_MAX);
    for (int i = 0; fd > 0 && json == NULL && i < TRIES; i++) {
        sp_buf_reset(&page);
        if (read_once(fd, &page) &&
            sp_json_parse(sp_bytes_slice(sp_buf_bytes(&page), SUM_LEN, SIZE_MAX), NULL, &json,
                          NULL) != SP_OK)
            json = NULL;
    }
    sp_buf_clear(&page);
    return json;
}
