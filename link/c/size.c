/* Prints one row of the table of RAM: compiled by test.sh with other limits each time. */
#include <stdio.h>

#include "till_link.h"

int main(void)
{
    printf("RAM: window %2u, messages up to %4u bytes: endpoint %5zu, whole POS %5zu\n", TL_WINDOW_MAX, TL_PAYLOAD_MAX,
           sizeof(tl_endpoint), sizeof(tl_pos));
    return 0;
}
