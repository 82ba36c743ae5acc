/*
 * Inside delivery: boards that are being made when an engine ends. thread: loop
 */
#ifndef SP_DELIVERY_BOARD_PRIV_H
#define SP_DELIVERY_BOARD_PRIV_H

#include "delivery/delivery_priv.h"

/* They begin anew with another engine. */
void sp_delivery_boards_leave(struct sp_delivery *d);

#endif
