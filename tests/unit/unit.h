/*
 * What every cmocka test includes, in the order that cmocka demands.
 */
#ifndef UNIT_H
#define UNIT_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

/* Fails the test with the error's text when rc is not CAM_OK. */
#define ASSERT_OK(rc, err)                                                                         \
    do {                                                                                           \
        if ((rc) != CAM_OK) {                                                                      \
            fail_msg("%s", (err).text);                                                            \
        }                                                                                          \
    } while (0)

#endif
