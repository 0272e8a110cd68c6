using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>The command of ours that carries the state of a suspended processor: negotiation, and both messages byte by byte.</summary>
public sealed class TrappedAccessTests
{
    private static readonly TrappedAccess s_load = new()
    {
        Offset = 0x108,
        Region = 5,
        Size = 2,
        Partition = 3,
        Processor = 4,
        Sequence = 9,
        Reason = ExitReason.MmioRead,
        InstructionLength = 3,
        Address = 0xF000_0108,
        State = new ProcessorState { Rax = 0x11, Rdx = 0xF000_0108, Rip = 0x1000, Rflags = 0x202 },
    };

    [Theory]
    [InlineData(true, true)]
    [InlineData(false, false)]
    public void Both_ends_agree_on_the_processors_state_in_VERSION(bool proposes, bool agreed)
    {
        using var session = new Session(proposes);
        Assert.Equal(agreed, session.Client.SendsState);
        if (agreed) session.Client.Trap(s_load);
        else Assert.Equal(95, Assert.Throws<VfioUserException>(() => session.Client.Trap(s_load)).Errno);
    }

    [Theory]
    [InlineData("""{"capabilities":{"vmshunt_trap_state":1}}""", true)]
    [InlineData("""{"capabilities":{"vmshunt_trap_state":2}}""", true)]
    [InlineData("""{"capabilities":{"vmshunt_trap_state":0}}""", false)]
    [InlineData("""{"capabilities":{}}""", false)]
    [InlineData("{}", false)]
    public void The_capability_is_a_version_from_1(string json, bool takes)
    {
        byte[] payload = [0, 0, 1, 0, .. System.Text.Encoding.UTF8.GetBytes(json), 0];
        Assert.True(VfioUserVersion.TryRead(payload, out _, out _, out _, out var read));
        Assert.Equal(takes, read);
    }

    [Theory]
    [InlineData("true")]
    [InlineData("-1")]
    [InlineData("\"1\"")]
    public void A_capability_that_is_no_version_is_refused(string value)
    {
        byte[] payload = [0, 0, 1, 0, .. System.Text.Encoding.UTF8.GetBytes($"{{\"capabilities\":{{\"vmshunt_trap_state\":{value}}}}}"), 0];
        Assert.False(VfioUserVersion.TryRead(payload, out _, out _, out _, out _));
    }

    [Fact]
    public void A_server_names_the_capability_only_to_a_client_that_proposes_it()
    {
        foreach (var proposes in new[] { false, true })
        {
            var (one, two) = UnixConnection.CreatePair();
            using var client = new FramedConnection(one);
            var serving = new Thread(() =>
            {
                using var session = new VfioUserSession(two, static interrupt => new RegisterDevice(interrupt));
                session.Run();
            });
            serving.Start();
            var payload = new byte[VfioUserVersion.BytesWith(proposes)];
            VfioUserVersion.Write(payload, 1, proposes);
            client.Send(new Message(1, (ushort)VfioUserCommand.Version, 0, payload).Bytes);
            Assert.True(client.Receive(out VfioUserHeader header));
            var reply = new byte[header.Size - 16];
            client.Receive(reply);
            Assert.Equal(payload, reply);
            client.Dispose();
            serving.Join();
        }
    }

    [Fact]
    public void The_request_has_the_layout_of_the_documentation()
    {
        Assert.Equal(TrappedAccess.SizeInBytes, Marshal.SizeOf<TrappedAccess>());
        var expected = "0801000000000000" + "05000000" + "02000000" + "03000000" + "04000000" + "09000000" + "01000000" + "03000000" + "00000000" + "080100F000000000"
            + "1100000000000000" + new string('0', 32) + "080100F000000000" + new string('0', 16 * 12) + "0010000000000000" + "0202000000000000";
        Assert.Equal(expected, Convert.ToHexString(MessageGen.Bytes(s_load)));
    }

    [Fact]
    public void The_answer_to_a_load_names_the_exit_and_carries_the_value_and_the_next_instruction()
    {
        using var session = new Session(proposes: true);
        session.Client.WriteRegion(5, 0x10C, [0xBB, 0xAA, 0xCC, 0xDD]);
        var before = session.Client.Bytes;
        var answer = session.Client.Trap(s_load with { Offset = 0x10C });
        Assert.Equal((3u, 4u, 9u, TrapAction.Resume, 0u), (answer.Partition, answer.Processor, answer.Sequence, answer.Action, answer.Errno));
        Assert.Equal(ProcessorRegisters.Rax | ProcessorRegisters.Rip, answer.Changed);
        // Zero-extended, as the load extends it.
        Assert.Equal((0xAABBul, 0x1003ul), (answer.State.Rax, answer.State.Rip));
        Assert.Equal(16 + 192 + 16 + 24 + 16, session.Client.Bytes - before);
        Assert.Equal(
            "03000000" + "04000000" + "09000000" + "01000000" + "01000100" + "00000000" + "BBAA000000000000" + "0310000000000000",
            Convert.ToHexString(Payload(answer)));
    }

    [Fact]
    public void A_store_takes_its_data_from_RAX_and_changes_the_instruction_pointer_alone()
    {
        using var session = new Session(proposes: true);
        var store = s_load with { Reason = ExitReason.MmioWrite, Offset = 0x10C, Size = 4, InstructionLength = 2 };
        store.State.Rax = 0xFFFF_FFFF_1234_5678;
        var answer = session.Client.Trap(store);
        Assert.Equal((ProcessorRegisters.Rip, 0x1002ul), (answer.Changed, answer.State.Rip));
        Assert.Equal([0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0], session.Device.Bar.AsSpan(0x10C, 8).ToArray());
    }

    [Fact]
    public void A_refused_access_is_a_fault()
    {
        using var session = new Session(proposes: true);
        var store = s_load with { Reason = ExitReason.MmioWrite, Offset = RegisterDevice.RefusedRegister };
        Assert.Equal(5, Assert.Throws<VfioUserException>(() => session.Client.Trap(store)).Errno);
        session.Client.Trap(s_load);
    }

    [Theory]
    [InlineData(3u, ExitReason.MmioRead, 5u, 0x108ul)]
    [InlineData(0u, ExitReason.MmioRead, 5u, 0x108ul)]
    [InlineData(16u, ExitReason.MmioWrite, 5u, 0x108ul)]
    [InlineData(4u, ExitReason.Hypercall, 5u, 0x108ul)]
    [InlineData(4u, ExitReason.Halt, 5u, 0x108ul)]
    [InlineData(4u, (ExitReason)0, 5u, 0x108ul)]
    [InlineData(4u, ExitReason.MmioWrite, 9u, 0x108ul)]
    [InlineData(4u, ExitReason.MmioWrite, 0u, 0ul)]
    [InlineData(4u, ExitReason.MmioWrite, 5u, 4093ul)]
    [InlineData(4u, ExitReason.MmioRead, 5u, ulong.MaxValue)]
    public void An_access_that_no_instruction_makes_is_refused(uint size, ExitReason reason, uint region, ulong offset)
    {
        using var session = new Session(proposes: true);
        var access = s_load with { Size = size, Reason = reason, Region = region, Offset = offset };
        access.State.Rax = ulong.MaxValue;
        Assert.Equal(22, Assert.Throws<VfioUserException>(() => session.Client.Trap(access)).Errno);
        Assert.All(session.Device.Bar, static b => Assert.Equal(0, b));
    }

    [Fact]
    public void An_access_without_a_reply_ends_the_session_and_reaches_no_register()
    {
        using var session = new Session(proposes: true);
        var store = s_load with { Reason = ExitReason.MmioWrite };
        session.Raw.Send(new Message(7, (ushort)VfioUserCommand.Trap, (uint)VfioUserFlags.NoReply, MessageGen.Bytes(store)).Bytes);
        Assert.Contains("asked for no reply", Assert.IsType<IOException>(session.WaitForEnd()).Message, StringComparison.Ordinal);
        Assert.All(session.Device.Bar, static b => Assert.Equal(0, b));
    }

    [Fact]
    public void An_access_with_state_allocates_nothing_on_either_end()
    {
        using var session = new Session(proposes: true);
        long before = 0, serverBefore = 0;
        for (var i = 0; i < 3000; i++)
        {
            if (i == 1000) (before, serverBefore) = (GC.GetAllocatedBytesForCurrentThread(), session.Device.AllocatedByServer);
            session.Client.Trap(s_load);
        }
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(0, session.Device.AllocatedByServer - serverBefore);
    }

    private static byte[] Payload(TrapAnswer answer)
    {
        var payload = new byte[TrapAnswer.MaxBytes];
        return payload[..answer.Write(payload)];
    }

    private sealed class Session : IDisposable
    {
        private readonly Thread _thread;
        private Exception? _end;

        internal Session(bool proposes)
        {
            var (one, two) = UnixConnection.CreatePair();
            Raw = one;
            _thread = new Thread(() =>
            {
                using var session = new VfioUserSession(two, interrupt => Device = new RegisterDevice(interrupt));
                _end = Record.Exception(session.Run);
            });
            _thread.Start();
            Client = new VfioUserClient(one, "test", proposes);
        }

        internal UnixConnection Raw { get; }

        internal VfioUserClient Client { get; }

        internal RegisterDevice Device { get; private set; } = null!;

        internal Exception? WaitForEnd()
        {
            _thread.Join();
            return _end;
        }

        public void Dispose()
        {
            Client.Dispose();
            _thread.Join();
        }
    }
}
