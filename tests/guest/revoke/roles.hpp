// SPDX-License-Identifier: BSD-2-Clause
//
// What main() does in the other processes of the tests of closing. Both say 'r' when they are
// ready, end when their parent closes the channel, and are made to be killed.
#pragma once

namespace revoke_test {

/// Opens everything and writes without a pause. With `resets` it also resets the device without a
/// pause.
int run_victim(bool resets);

/// Owns the device, and no more: 'r' comes with the buffer's descriptor. Resets the device for each
/// letter that it is sent, and answers with one.
int run_owner();

}  // namespace revoke_test
