/*
 * The same file that the runner of whole gateways writes, seen twice in one process: as the tested code sees it, and here.
 */
#include "support/fault_board.h"

#include "base/fault.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static struct sp_fault_board *board;

static void make(void)
{
    char path[] = "/tmp/sp-board-XXXXXX";
    int fd = mkstemp(path);

    ck_assert(fd >= 0 && ftruncate(fd, sizeof(*board)) == 0);
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ck_assert(board != MAP_FAILED);
    sp_fault_use_board(path, "test");
    (void)close(fd);
    (void)unlink(path);
}

bool fault_board_arm(const char *point, uint64_t n)
{
#ifdef SP_FAULTS
    if (board == NULL)
        make();
    __atomic_store_n(&board->left, 0, __ATOMIC_RELEASE);
    board->struck = 0;
    snprintf(board->wanted, sizeof(board->wanted), "test:%s", point);
    __atomic_store_n(&board->left, n, __ATOMIC_RELEASE);
    return true;
#else
    (void)point, (void)n, (void)make;
    return false;
#endif
}

bool fault_board_struck(void)
{
    return board != NULL && board->struck > 0;
}

uint64_t fault_board_passed(const char *point)
{
    char name[SP_FAULT_NAME_MAX];

    snprintf(name, sizeof(name), "test:%s", point);
    for (size_t i = 0; board != NULL && i < SP_FAULT_ROWS; i++)
        if (board->rows[i].state == 2 && strcmp(board->rows[i].name, name) == 0)
            return board->rows[i].passed;
    return 0;
}

void fault_board_end(void)
{
    sp_fault_use_board(NULL, "");
    if (board != NULL)
        (void)munmap(board, sizeof(*board));
    board = NULL;
}
