// SPDX-License-Identifier: BSD-2-Clause
//
// --lose: messages that get no answer, with and without having been executed.

#include "fixture.hpp"

namespace peermr::test {
namespace {

class LossyWire : public TwoNics {
 protected:
  LossyWire() : TwoNics({"--lose", "4"}) {}

  void SetUp() override {
    TwoNics::SetUp();
    connect();
  }

  void reconnect() {
    a_qp->to_reset();
    b_qp->to_reset();
    connect();
  }
};

TEST_F(LossyWire, RunsOutOfRetriesWhetherTheMessageWasTakenOrNot) {
  int taken = 0, not_taken = 0, acknowledged = 0;
  for (int i = 0; i < 200; ++i) {
    b_qp->post_receive(1, {b_sge(0, 64)});
    b_qp->ring();
    a_qp->post(request(PNIC_WQE_SEND, 0, 64));
    a_qp->ring();
    const pnic_cqe sent = a->send_cq.next();
    const bool received = b->recv_cq.poll().has_value();
    if (sent.status == PNIC_CQE_SUCCESS) {
      EXPECT_TRUE(received);
      ++acknowledged;
    } else {
      ASSERT_EQ(sent.status, PNIC_CQE_RETRY_EXC_ERR);
      ++(received ? taken : not_taken);
    }
    // Once, in spite of three attempts.
    EXPECT_FALSE(b->recv_cq.poll().has_value());
    if (sent.status != PNIC_CQE_SUCCESS) reconnect();
  }
  EXPECT_GT(acknowledged, 100);
  EXPECT_GT(taken, 10);
  EXPECT_GT(not_taken, 10);
}

}  // namespace
}  // namespace peermr::test
