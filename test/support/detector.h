/* A detector and an arena for the tests of what it finds: the detector is made once, the arena for each test. */
#ifndef SP_TEST_DETECTOR_H
#define SP_TEST_DETECTOR_H

#include "detect/detect.h"
#include "support/check_main.h"

static struct sp_detect *detect;
static struct sp_arena *arena;

static inline void begin(void)
{
    struct sp_err err = {0};

    if (detect == NULL)
        ck_assert_msg(sp_detect_new(&detect, &err) == SP_OK, "%s", err.text);
    arena = sp_arena_new(4096);
}

static inline void end(void)
{
    sp_arena_free(arena);
}

#endif
