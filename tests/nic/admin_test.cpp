// SPDX-License-Identifier: BSD-2-Clause
//
// Bring-up, the admin queue, and each admin command with good and bad arguments.

#include <functional>

#include "fixture.hpp"

namespace peermr::test {
namespace {

class Admin : public ::testing::Test {
 protected:
  void SetUp() override {
    memory = std::make_shared<GuestMemory>(64u << 20);
    nic = std::make_unique<PnicClient>(pnicd.socket(0), memory);
  }

  /// Each change makes a good command bad, and has no effect.
  struct Bad {
    uint8_t status;
    std::function<void(pnic_cmd&)> change;
  };
  void expect_refused(const pnic_cmd& good, const std::vector<Bad>& cases) {
    for (size_t i = 0; i < cases.size(); ++i) {
      pnic_cmd c = good;
      cases[i].change(c);
      EXPECT_EQ(nic->admin(c).status, cases[i].status) << "case " << i;
    }
    pnic_cmd c = good;
    c.hdr.reserved0 = 1;
    EXPECT_EQ(nic->admin(c).status, PNIC_CMD_BAD_PARAM);
    c = good;
    c.hdr.reserved1 = 1;
    EXPECT_EQ(nic->admin(c).status, PNIC_CMD_BAD_PARAM);
  }

  PnicdProcess pnicd{1};
  std::shared_ptr<GuestMemory> memory;
  std::unique_ptr<PnicClient> nic;
};

TEST(BringUp, RegistersAreFrozenWhileEnabled) {
  PnicdProcess pnicd(1);
  PnicClient nic(pnicd.socket(0), std::make_shared<GuestMemory>(1 << 20));
  const uint32_t size = nic.reg(PNIC_REG_ADMIN_SIZE);
  nic.set_reg(PNIC_REG_ADMIN_SIZE, 9);
  const uint32_t base = nic.reg(PNIC_REG_ASQ_BASE_HI);
  nic.set_reg(PNIC_REG_ASQ_BASE_HI, base + 1);
  EXPECT_EQ(nic.reg(PNIC_REG_ADMIN_SIZE), size);
  EXPECT_EQ(nic.reg(PNIC_REG_ASQ_BASE_HI), base);
  EXPECT_EQ(nic.reg(PNIC_REG_CTRL), PNIC_CTRL_ENABLE);
}

TEST(BringUp, BadAdminQueuesAreFatalUntilDisabled) {
  PnicdProcess pnicd(1);
  auto memory = std::make_shared<GuestMemory>(1 << 20);
  PnicClient nic(pnicd.socket(0), memory, PnicClient::NotEnabled{});
  struct Bad {
    uint64_t asq, acq;
    uint32_t size, vector;
    uint32_t reason;
  };
  const uint64_t good = GuestMemory::kBus;
  const Bad cases[] = {{good + 64, good, 4, 0, PNIC_FATAL_ADMIN_CONFIG},
                       {good, good + 8, 4, 0, PNIC_FATAL_ADMIN_CONFIG},
                       {good, good + 4096, 0, 0, PNIC_FATAL_ADMIN_CONFIG},
                       {good, good + 4096, 11, 0, PNIC_FATAL_ADMIN_CONFIG},
                       {good, good + 4096, 0xffffffff, 0, PNIC_FATAL_ADMIN_CONFIG},
                       {good, good + 4096, 4, 16, PNIC_FATAL_ADMIN_CONFIG},
                       {0x1000, good, 4, 0, PNIC_FATAL_ADMIN_DMA},
                       {good, ~uint64_t{4095}, 4, 0, PNIC_FATAL_ADMIN_DMA},
                       {good + (1 << 20) - 4096, good, 10, 0, PNIC_FATAL_ADMIN_DMA}};
  for (const Bad& bad : cases) {
    nic.set_reg(PNIC_REG_ASQ_BASE_LO, static_cast<uint32_t>(bad.asq));
    nic.set_reg(PNIC_REG_ASQ_BASE_HI, static_cast<uint32_t>(bad.asq >> 32));
    nic.set_reg(PNIC_REG_ACQ_BASE_LO, static_cast<uint32_t>(bad.acq));
    nic.set_reg(PNIC_REG_ACQ_BASE_HI, static_cast<uint32_t>(bad.acq >> 32));
    nic.set_reg(PNIC_REG_ADMIN_SIZE, bad.size);
    nic.set_reg(PNIC_REG_ADMIN_VECTOR, bad.vector);
    nic.set_reg(PNIC_REG_CTRL, PNIC_CTRL_ENABLE);
    EXPECT_EQ(nic.reg(PNIC_REG_STATUS), PNIC_STATUS_FATAL | bad.reason << PNIC_STATUS_REASON_SHIFT);
    nic.set_reg(PNIC_REG_CTRL, 0);
    EXPECT_EQ(nic.reg(PNIC_REG_STATUS), 0u);
  }
  nic.enable(4);
}

TEST_F(Admin, TooManyCommandsAreFatal) {
  nic->set_reg(PNIC_REG_ASQ_DOORBELL, 1000000);
  EXPECT_TRUE(eventually([&] {
    return nic->reg(PNIC_REG_STATUS) ==
           (PNIC_STATUS_FATAL | PNIC_FATAL_ADMIN_DOORBELL << PNIC_STATUS_REASON_SHIFT);
  }));
}

TEST_F(Admin, AnAdminQueueThatIsUnmappedIsFatal) {
  ASSERT_TRUE(nic->vfio.dma_unmap(GuestMemory::kBus, memory->size()).ok());
  nic->set_reg(PNIC_REG_ASQ_DOORBELL, 2);
  EXPECT_TRUE(eventually([&] {
    return nic->reg(PNIC_REG_STATUS) ==
           (PNIC_STATUS_FATAL | PNIC_FATAL_ADMIN_DMA << PNIC_STATUS_REASON_SHIFT);
  }));
}

TEST_F(Admin, CompletionsWaitForRoom) {
  // 64 entries, none reported as consumed: the 65th completion waits.
  nic->set_reg(PNIC_REG_CTRL, 0);
  nic->enable(1);
  const uint16_t first = nic->submit(PnicClient::command(PNIC_CMD_ALLOC_PD));
  const uint16_t second = nic->submit(PnicClient::command(PNIC_CMD_ALLOC_PD));
  EXPECT_TRUE(nic->finish(first).ok());
  EXPECT_TRUE(nic->finish(second).ok());
  for (int i = 0; i < 100; ++i)
    EXPECT_TRUE(nic->admin(PnicClient::command(PNIC_CMD_ALLOC_PD)).ok());
}

TEST_F(Admin, CompletionsRaiseTheVector) {
  nic->use_eventfd(0);
  nic->alloc_pd();
  EXPECT_GE(nic->interrupts(0), 1u);
}

TEST_F(Admin, UnknownAndReservedOpcodes) {
  for (const int opcode : {0, 4, 0x14, 0x25, 0x34, 0x44, 0x60, 0xff}) {
    EXPECT_EQ(nic->admin(PnicClient::command(static_cast<pnic_opcode>(opcode))).status,
              PNIC_CMD_BAD_OPCODE)
        << opcode;
  }
  for (const pnic_opcode opcode : {PNIC_CMD_CREATE_SRQ, PNIC_CMD_MODIFY_SRQ, PNIC_CMD_QUERY_SRQ,
                                   PNIC_CMD_DESTROY_SRQ, PNIC_CMD_CREATE_AH, PNIC_CMD_DESTROY_AH}) {
    EXPECT_EQ(nic->admin(PnicClient::command(opcode)).status, PNIC_CMD_NOT_SUPPORTED);
  }
  EXPECT_EQ(nic->stat(PNIC_STAT_ADMIN_ERROR), 14u);
}

TEST_F(Admin, QueryDeviceSaysWhatTheHeaderPromises) {
  const uint64_t buffer = memory->alloc(4096);
  pnic_cmd c = PnicClient::command(PNIC_CMD_QUERY_DEVICE);
  c.u.out.addr = buffer;
  c.u.out.length = sizeof(pnic_device_attr);
  nic->must(c);
  const auto* attr = memory->as<pnic_device_attr>(buffer);
  EXPECT_EQ(attr->lid, 1u);
  EXPECT_EQ(attr->max_sge, PNIC_MAX_SGE);
  EXPECT_EQ(attr->max_inline, PNIC_MAX_INLINE);
  EXPECT_EQ(attr->max_msg_size, PNIC_MAX_MSG_SIZE);
  EXPECT_EQ(attr->key_bits, 32u);
  EXPECT_EQ(attr->port_state, PNIC_PORT_ACTIVE);
  EXPECT_EQ(attr->num_uars, PNIC_NUM_UARS - 1);
  EXPECT_GT(attr->fault_timeout_ms, 0u);
  EXPECT_EQ(attr->gid[0], 0xfe);
  EXPECT_EQ(attr->gid[15], static_cast<uint8_t>(attr->node_guid));

  // Cut, not refused.
  std::memset(memory->at(buffer), 0xee, 4096);
  c.u.out.length = 8;
  nic->must(c);
  EXPECT_EQ(memory->as<uint64_t>(buffer)[1], 0xeeeeeeeeeeeeeeeeu);
  c.u.out.length = sizeof(pnic_device_attr);
  expect_refused(c, {{PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.out.addr += 4; }},
                     {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.out.addr += 4096 - 64; }},
                     {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.out.length = 0; }},
                     {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.out.length = 0xffffffff; }},
                     {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.out.handle = 1; }},
                     {PNIC_CMD_DMA_ERROR, [](pnic_cmd& x) { x.u.out.addr = 0x1000; }}});
}

TEST_F(Admin, SelfTestMeasuresAndOthersWaitForIt) {
  pnic_cmd c = PnicClient::command(PNIC_CMD_SELF_TEST_COPY);
  c.u.self_test.bytes = 1 << 20;
  c.u.self_test.iterations = 16;
  const uint16_t test = nic->submit(c);
  const uint16_t after = nic->submit(PnicClient::command(PNIC_CMD_ALLOC_PD));
  EXPECT_TRUE(nic->finish(after).ok());
  const auto result = nic->poll_completion(test);
  ASSERT_TRUE(result.has_value());
  EXPECT_GT(result->result, 1000u);
  expect_refused(c,
                 {{PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.self_test.bytes = 0; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.self_test.bytes = (16u << 20) + 1; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.self_test.iterations = 0; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& x) { x.u.self_test.iterations = 65; }}});
}

TEST_F(Admin, UarsAreFiniteAndCleanAndCounted) {
  std::vector<uint32_t> uars;
  for (;;) {
    const auto result = nic->admin(PnicClient::command(PNIC_CMD_ALLOC_UAR));
    if (!result.ok()) {
      EXPECT_EQ(result.status, PNIC_CMD_NO_RESOURCE);
      break;
    }
    uars.push_back(static_cast<uint32_t>(result.result));
  }
  EXPECT_EQ(uars.size(), PNIC_NUM_UARS - 2);  // one is the client's own, and number 0 is none
  EXPECT_TRUE(nic->on_object(PNIC_CMD_FREE_UAR, uars[5]).ok());
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_UAR, uars[5]).status, PNIC_CMD_BAD_HANDLE);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_UAR, 0).status, PNIC_CMD_BAD_HANDLE);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_UAR, 0xffffffff).status, PNIC_CMD_BAD_HANDLE);
  nic->vfio.write(kBar2, uint64_t{uars[5]} * 4096 + 8, 77, 4);
  EXPECT_EQ(nic->must(PnicClient::command(PNIC_CMD_ALLOC_UAR)), uars[5]);
  EXPECT_EQ(nic->vfio.read(kBar2, uint64_t{uars[5]} * 4096 + 8, 4), 0u);
}

TEST_F(Admin, PdsAreBusyWhileUsed) {
  const uint32_t pd = nic->alloc_pd();
  const uint64_t bus = memory->alloc(4096);
  const uint32_t key = nic->create_mr(pd, bus, 0, 4096, 0);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_PD, pd).status, PNIC_CMD_BUSY);
  EXPECT_TRUE(nic->on_object(PNIC_CMD_DESTROY_MR, key).ok());
  EXPECT_TRUE(nic->on_object(PNIC_CMD_FREE_PD, pd).ok());
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_PD, pd).status, PNIC_CMD_BAD_HANDLE);
}

TEST_F(Admin, CreateMrChecksEverything) {
  const uint32_t pd = nic->alloc_pd();
  const uint64_t bus = memory->alloc(64 * 4096);
  const pnic_cmd good = nic->create_mr_command(pd, bus, 0x1000, 64 * 4096, kAllAccess, 0);
  EXPECT_TRUE(nic->admin(good).ok());
  expect_refused(
      good,
      {{PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_mr.pdn += 1; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.access = 0x10; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.access = PNIC_ACCESS_REMOTE_WRITE; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.access = PNIC_ACCESS_REMOTE_ATOMIC; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.flags = 4; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.flags = PNIC_MR_INVALID; }},
       {PNIC_CMD_BAD_PARAM,
        [](pnic_cmd& c) { c.u.create_mr.flags = PNIC_MR_INVALID | PNIC_MR_FAULTABLE; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.reserved = 1; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.length = 0; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.length = ~uint64_t{0}; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.iova = ~uint64_t{0}; }},
       {PNIC_CMD_BAD_PARAM,
        [](pnic_cmd& c) { c.u.create_mr.length += 1; }},  // one page more than listed
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.num_pages = 63; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.num_pages = 0; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.page_shift = 11; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.page_shift = 48; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.levels = 0; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.levels = 4; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.offset = 4096; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.offset = ~uint64_t{0}; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.reserved = 1; }},
       {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_mr.pages.addr += 8; }},
       {PNIC_CMD_DMA_ERROR, [](pnic_cmd& c) { c.u.create_mr.pages.addr = 0x1000; }}});
  // A page that isn't aligned, in an otherwise good list.
  *memory->as<uint64_t>(good.u.create_mr.pages.addr) += 8;
  EXPECT_EQ(nic->admin(good).status, PNIC_CMD_BAD_PARAM);
}

TEST_F(Admin, ALyingPageCountDoesNotAllocate) {
  const uint32_t pd = nic->alloc_pd();
  const uint64_t bus = memory->alloc(4096);
  pnic_cmd c = nic->create_mr_command(pd, bus, 0, 4096, 0, 0);
  c.u.create_mr.length = uint64_t{16} << 30;
  c.u.create_mr.pages.num_pages = 4u << 20;
  c.u.create_mr.pages.levels = 3;
  c.u.create_mr.pages.addr = memory->alloc(4096);  // zeros: blocks at address 0, which isn't mapped
  EXPECT_EQ(nic->admin(c).status, PNIC_CMD_DMA_ERROR);
  c.u.create_mr.length += 1;
  EXPECT_EQ(nic->admin(c).status, PNIC_CMD_BAD_PARAM);
}

TEST_F(Admin, KeysDoNotComeBackSoon) {
  const uint32_t pd = nic->alloc_pd();
  const uint64_t bus = memory->alloc(4096);
  const pnic_cmd create = nic->create_mr_command(pd, bus, 0, 4096, 0, 0);
  uint64_t last = 0;
  for (int i = 0; i < 300; ++i) {
    const uint64_t key = nic->must(create);
    EXPECT_NE(key, 0u);
    EXPECT_GT(key, last);
    last = key;
    EXPECT_TRUE(nic->on_object(PNIC_CMD_DESTROY_MR, static_cast<uint32_t>(key)).ok());
    EXPECT_EQ(nic->on_object(PNIC_CMD_DESTROY_MR, static_cast<uint32_t>(key)).status,
              PNIC_CMD_BAD_HANDLE);
  }
}

TEST_F(Admin, MrStatesFollowTheTable) {
  const uint32_t pd = nic->alloc_pd();
  const uint64_t bus = memory->alloc(4096);
  const uint32_t plain = nic->create_mr(pd, bus, 0, 4096, 0);
  EXPECT_EQ(nic->invalidate(plain).status, PNIC_CMD_BAD_STATE);
  EXPECT_EQ(nic->validate(plain, bus, 4096).status, PNIC_CMD_BAD_STATE);
  EXPECT_EQ(nic->invalidate(plain, 2).status, PNIC_CMD_BAD_PARAM);
  EXPECT_TRUE(nic->invalidate(plain, PNIC_INVALIDATE_REVOKE).ok());
  EXPECT_TRUE(nic->invalidate(plain, PNIC_INVALIDATE_REVOKE).ok());
  EXPECT_EQ(nic->validate(plain, bus, 4096).status, PNIC_CMD_BAD_STATE);

  const uint32_t faultable = nic->create_mr(pd, 0, 0, 4096, 0, PNIC_MR_FAULTABLE | PNIC_MR_INVALID);
  EXPECT_TRUE(nic->invalidate(faultable).ok());
  EXPECT_TRUE(nic->validate(faultable, bus, 4096).ok());
  EXPECT_EQ(nic->validate(faultable, bus, 4096).status, PNIC_CMD_BAD_STATE);
  EXPECT_TRUE(nic->invalidate(faultable).ok());
  EXPECT_TRUE(nic->on_object(PNIC_CMD_FAULT_DONE, faultable).ok());
  EXPECT_EQ(nic->validate(faultable, 0x1000, 4096).status,
            PNIC_CMD_OK);  // a list is not looked at but copied
  EXPECT_TRUE(nic->invalidate(faultable, PNIC_INVALIDATE_REVOKE).ok());
  EXPECT_EQ(nic->invalidate(faultable).status, PNIC_CMD_BAD_STATE);
  EXPECT_EQ(nic->invalidate(0).status, PNIC_CMD_BAD_HANDLE);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FAULT_DONE, 0xffffff).status, PNIC_CMD_BAD_HANDLE);
  EXPECT_EQ(nic->stat(PNIC_STAT_INVALIDATE), 5u);
}

TEST_F(Admin, QueuesCheckEverything) {
  EventRing events(*nic, 1);
  CompletionRing cq(*nic, events.eqn);
  const uint32_t pd = nic->alloc_pd();
  QueuePairClient qp(*nic, pd, cq, cq);
  const uint64_t ring = memory->alloc(1 << 16);

  pnic_cmd eq = PnicClient::command(PNIC_CMD_CREATE_EQ);
  eq.u.create_eq = {.vector = 2,
                    .uar = nic->uar(),
                    .slot = 100,
                    .log_size = 4,
                    .reserved = {},
                    .pages = nic->list(ring, 512)};
  EXPECT_TRUE(nic->admin(eq).ok());
  expect_refused(eq,
                 {{PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.vector = 16; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_eq.uar = 0; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_eq.uar = 1 << 20; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.slot = 512; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.log_size = 3; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.log_size = 17; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.reserved[2] = 1; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_eq.pages.num_pages = 2; }}});

  pnic_cmd create = PnicClient::command(PNIC_CMD_CREATE_CQ);
  create.u.create_cq = {.eqn = events.eqn,
                        .uar = nic->uar(),
                        .slot = 101,
                        .log_size = 0,
                        .reserved = {},
                        .pages = nic->list(ring, 64)};
  EXPECT_TRUE(nic->admin(create).ok());
  expect_refused(create,
                 {{PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_cq.eqn = 99; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_cq.uar = 99; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_cq.slot = ~0u; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_cq.log_size = 19; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_cq.reserved[0] = 1; }}});

  pnic_cmd good = PnicClient::command(PNIC_CMD_CREATE_QP);
  auto& q = good.u.create_qp;
  q.pdn = pd;
  q.scqn = q.rcqn = cq.cqn;
  q.srqn = PNIC_NO_SRQ;
  q.uar = nic->uar();
  q.slot = 102;
  q.type = PNIC_QPT_RC;
  q.sq_log_size = q.rq_log_size = 2;
  q.sq_stride_shift = 6;
  q.rq_stride_shift = 5;
  q.sq = nic->list(ring, 256);
  q.rq = nic->list(ring + 4096, 128);
  EXPECT_TRUE(nic->admin(good).ok());
  expect_refused(good,
                 {{PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_qp.pdn = 0; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_qp.scqn = 0; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_qp.rcqn = 77; }},
                  {PNIC_CMD_BAD_HANDLE, [](pnic_cmd& c) { c.u.create_qp.uar = 0; }},
                  {PNIC_CMD_NOT_SUPPORTED, [](pnic_cmd& c) { c.u.create_qp.srqn = 1; }},
                  {PNIC_CMD_NOT_SUPPORTED, [](pnic_cmd& c) { c.u.create_qp.type = PNIC_QPT_UD; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.type = 3; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.flags = 2; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.slot = 512; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.sq_log_size = 16; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.sq_stride_shift = 5; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.sq_stride_shift = 10; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.rq_stride_shift = 4; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.rq_log_size = 255; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.reserved = 1; }},
                  {PNIC_CMD_BAD_PARAM, [](pnic_cmd& c) { c.u.create_qp.rq.num_pages = 5; }}});

  // Whoever is referred to stays.
  EXPECT_EQ(nic->on_object(PNIC_CMD_DESTROY_CQ, cq.cqn).status, PNIC_CMD_BUSY);
  EXPECT_EQ(nic->on_object(PNIC_CMD_DESTROY_EQ, events.eqn).status, PNIC_CMD_BUSY);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_PD, pd).status, PNIC_CMD_BUSY);
  EXPECT_EQ(nic->on_object(PNIC_CMD_FREE_UAR, nic->uar()).status, PNIC_CMD_BUSY);
  pnic_cmd reserved = PnicClient::command(PNIC_CMD_DESTROY_QP);
  reserved.u.object = {qp.qpn, 1};
  EXPECT_EQ(nic->admin(reserved).status, PNIC_CMD_BAD_PARAM);
  EXPECT_TRUE(nic->on_object(PNIC_CMD_DESTROY_QP, qp.qpn).ok());
  EXPECT_EQ(nic->on_object(PNIC_CMD_DESTROY_QP, qp.qpn).status, PNIC_CMD_BAD_HANDLE);
}

TEST_F(Admin, QpTransitionsFollowTheTable) {
  EventRing events(*nic, 1);
  CompletionRing cq(*nic, events.eqn);
  const uint32_t pd = nic->alloc_pd();
  QueuePairClient qp(*nic, pd, cq, cq);
  const auto attr = [](pnic_qp_state state) {
    return QueuePairClient::attributes({.lid = 1, .qpn = 99}, state);
  };
  constexpr uint32_t kInit = QueuePairClient::kInitMask, kRtr = QueuePairClient::kRtrMask,
                     kRts = QueuePairClient::kRtsMask;

  EXPECT_EQ(qp.modify(kRtr, attr(PNIC_QPS_RTR)).status, PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.modify(kRts, attr(PNIC_QPS_RTS)).status, PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.modify(PNIC_QP_ATTR_STATE, attr(PNIC_QPS_INIT)).status,
            PNIC_CMD_BAD_PARAM);  // ACCESS missing
  EXPECT_EQ(qp.modify(kInit | PNIC_QP_ATTR_AV, attr(PNIC_QPS_INIT)).status,
            PNIC_CMD_BAD_PARAM);  // surplus
  EXPECT_EQ(qp.modify(kInit | 0x4000, attr(PNIC_QPS_INIT)).status, PNIC_CMD_BAD_PARAM);
  pnic_qp_attr bad = attr(PNIC_QPS_INIT);
  bad.access = PNIC_ACCESS_LOCAL_WRITE;
  EXPECT_EQ(qp.modify(kInit, bad).status, PNIC_CMD_BAD_PARAM);
  bad = attr(PNIC_QPS_INIT);
  bad.reserved0[1] = 1;
  EXPECT_EQ(qp.modify(kInit, bad).status, PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.modify(PNIC_QP_ATTR_STATE, attr(PNIC_QPS_SQD)).status, PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.modify(PNIC_QP_ATTR_STATE, attr(static_cast<pnic_qp_state>(7))).status,
            PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.state(), PNIC_QPS_RESET);

  ASSERT_TRUE(qp.modify(kInit, attr(PNIC_QPS_INIT)).ok());
  ASSERT_TRUE(qp.modify(kInit, attr(PNIC_QPS_INIT)).ok());  // INIT to INIT
  const auto bad_rtr = [&](auto change) {
    pnic_qp_attr a = attr(PNIC_QPS_RTR);
    change(a);
    EXPECT_EQ(qp.modify(kRtr, a).status, PNIC_CMD_BAD_PARAM);
  };
  bad_rtr([](pnic_qp_attr& a) { a.path_mtu = 0; });
  bad_rtr([](pnic_qp_attr& a) { a.path_mtu = 6; });
  bad_rtr([](pnic_qp_attr& a) { a.dest_qpn = 1 << 24; });
  bad_rtr([](pnic_qp_attr& a) { a.rq_psn = 1 << 24; });
  bad_rtr([](pnic_qp_attr& a) { a.min_rnr_timer = 32; });
  bad_rtr([](pnic_qp_attr& a) { a.max_dest_rd_atomic = 200; });
  bad_rtr([](pnic_qp_attr& a) { a.av.flags = 2; });
  bad_rtr([](pnic_qp_attr& a) { a.av.reserved = 2; });
  ASSERT_TRUE(qp.modify(kRtr, attr(PNIC_QPS_RTR)).ok());

  pnic_qp_attr rts = attr(PNIC_QPS_RTS);
  rts.cur_state = PNIC_QPS_INIT;
  EXPECT_EQ(qp.modify(kRts | PNIC_QP_ATTR_CUR_STATE, rts).status, PNIC_CMD_BAD_STATE);
  rts.cur_state = PNIC_QPS_RTR;
  rts.rnr_retry = 8;
  EXPECT_EQ(qp.modify(kRts | PNIC_QP_ATTR_CUR_STATE, rts).status, PNIC_CMD_BAD_PARAM);
  rts.rnr_retry = 7;
  ASSERT_TRUE(qp.modify(kRts | PNIC_QP_ATTR_CUR_STATE, rts).ok());
  EXPECT_EQ(qp.query().attr.rnr_retry, 7u);
  EXPECT_EQ(qp.query().attr.dest_qpn, 99u);
  rts.access = 0;
  EXPECT_TRUE(qp.modify(PNIC_QP_ATTR_ACCESS, rts).ok());  // RTS to RTS needs no STATE
  EXPECT_EQ(qp.modify(PNIC_QP_ATTR_AV, rts).status, PNIC_CMD_BAD_PARAM);
  EXPECT_EQ(qp.modify(PNIC_QP_ATTR_STATE | PNIC_QP_ATTR_ACCESS, attr(PNIC_QPS_ERR)).status,
            PNIC_CMD_BAD_PARAM);
  EXPECT_TRUE(qp.modify(PNIC_QP_ATTR_STATE, attr(PNIC_QPS_ERR)).ok());
  EXPECT_EQ(qp.state(), PNIC_QPS_ERR);
  EXPECT_EQ(qp.modify(kRts, attr(PNIC_QPS_RTS)).status, PNIC_CMD_BAD_PARAM);
  EXPECT_TRUE(qp.modify(PNIC_QP_ATTR_STATE, attr(PNIC_QPS_RESET)).ok());
  EXPECT_EQ(qp.query().attr.dest_qpn, 0u);
}

}  // namespace
}  // namespace peermr::test
