/*
 * What a hostile message could do to the process that looks into it, without waiting for somebody to find such a message:
 * a wild pointer, a wait that never ends, a loop, all the memory there is. Each ends the process or stays for ever.
 */
#include "base/strike.h"

#include "base/buf.h"
#include "base/mem.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SWELL_LEN (16U * 1024 * 1024)
#define SWELL_MAX                                                                                  \
    64 /* pieces: more than a role may have; without a limit (sanitizers) it ends here */

static void spin(void)
{
    for (volatile bool on = true; on;)
        ;
}

static void swell(void)
{
    for (int i = 0; i < SWELL_MAX; i++) {
        uint8_t *piece = sp_malloc(SWELL_LEN); /* ends the process at its limit */

        for (size_t at = 0; at < SWELL_LEN; at += 4096)
            ((volatile uint8_t *)piece)[at] = 1;
    }
    abort();
}

static bool asks(struct sp_bytes head, const char *role, const char *what)
{
    struct sp_buf field;
    bool found;

    sp_buf_init(&field, 200);
    sp_buf_printf(&field, "X-Sallyport-Strike: %s-%s\r\n", role, what);
    found = sp_bytes_find_all(head, sp_buf_bytes(&field)) != SIZE_MAX;
    sp_buf_clear(&field);
    return found;
}

void sp_strike(const char *role, struct sp_bytes head)
{
    if (asks(head, role, "crash"))
        (void)kill(getpid(), SIGKILL); /* as good as SIGSEGV, and no sanitizer's report of it */
    while (asks(head, role, "hang"))
        (void)pause();
    if (asks(head, role, "spin"))
        spin();
    if (asks(head, role, "swell"))
        swell();
}
