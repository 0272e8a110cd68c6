using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

public sealed class HostileExitTests : IDisposable
{
    private readonly string _socket = RunningHypervisor.NewSocket();
    private readonly ServedDevices _served = new();
    private RunningHypervisor _hypervisor = null!;

    private void Start(string trapState) => _hypervisor = RunningHypervisor.Ready(_socket, $"disk0,vfio-user={_served.Path}", "--trap-state", trapState);

    public void Dispose()
    {
        // Whatever the guest did, the next one is served.
        using (var partition = GuestPartition.Create(_socket, 1 << 20, 1))
        using (var processor = partition.StartProcessor(0))
            Assert.Equal(0ul, processor.ReadMmio(GuestLayout.BarAddress + 64, 4));
        _hypervisor.Dispose();
        _served.Dispose();
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void Random_exit_records_are_each_answered(string trapState)
    {
        Start(trapState);
        var seed = Environment.TickCount;
        var random = new Random(seed);
        using var guest = NewGuest();
        var bytes = new byte[168];
        for (var i = 0; i < 3000; i++)
        {
            random.NextBytes(bytes);
            var exit = MemoryMarshal.Read<ExitRecord>(bytes);
            if (random.Next(8) > 0) exit.Processor = 0;
            if (random.Next(8) > 0) exit.Reason = (ExitReason)random.Next(1, 4);
            if (random.Next(8) > 0) exit.Size = 1u << random.Next(4);
            if (random.Next(2) > 0) exit.Address = GuestLayout.EcamAddress + (ulong)random.Next(0x20_0000);
            if (random.Next(3) > 0) exit.Address = GuestLayout.BarAddress + (ulong)random.Next(0x2000);
            exit.State.Rcx = (ulong)random.Next((int)Hypercall.Highest) + (random.Next(2) == 0 ? 0 : 1ul << 40);
            if (exit.State.Rcx == Hypercall.Crash) exit.State.Rcx = Hypercall.Identify;
            guest.Send(in exit);
            Assert.True(guest.Receive(out ResumeRecord resume), $"seed {seed}, exit {i}");
            Assert.Equal(exit.Sequence, resume.Sequence);
            Assert.True(guest.Receive(new byte[resume.TextLength]));
            Assert.True(resume.Action is ResumeAction.Resume or ResumeAction.Fault, $"seed {seed}, exit {i}");
        }
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void A_guest_may_disconnect_at_any_byte_of_its_hello_or_an_exit(string trapState)
    {
        Start(trapState);
        var hello = Hello.Of(HelloKind.NewPartition);
        hello.MemoryBytes = 1 << 20;
        hello.Processors = 1;
        var exit = new ExitRecord { Reason = ExitReason.MmioRead, Size = 4, Address = GuestLayout.BarAddress };
        byte[] talk = [.. MemoryMarshal.AsBytes(new ReadOnlySpan<Hello>(in hello)), .. MemoryMarshal.AsBytes(new ReadOnlySpan<ExitRecord>(in exit))];
        for (var bytes = 0; bytes <= talk.Length; bytes += 3)
        {
            using var connection = UnixConnection.Connect(_socket);
            connection.Send(talk.AsSpan(0, bytes));
        }
        Eventually.True(() => _served.SessionCount == 1, "every partition is removed");
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void An_exit_sent_while_the_processor_is_halted_is_answered(string trapState)
    {
        Start(trapState);
        using var guest = NewGuest();
        guest.Send(new ExitRecord { Reason = ExitReason.Halt, Sequence = 1 });
        guest.Send(new ExitRecord { Reason = ExitReason.Hypercall, Sequence = 2 });
        Assert.True(guest.Receive(out ResumeRecord resume));
        Assert.Equal(2u, resume.Sequence);
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void Unsolicited_descriptors_are_closed_by_the_hypervisor(string trapState)
    {
        Start(trapState);
        using var guest = NewGuest();
        using var eventFd = EventFd.Create();
        var before = _hypervisor.DescriptorCount;
        for (uint i = 0; i < 100; i++)
        {
            guest.Send(new ExitRecord { Reason = ExitReason.Hypercall, Sequence = i }, [eventFd.Handle, eventFd.Handle]);
            Assert.True(guest.Receive(out ResumeRecord _));
        }
        Assert.InRange(_hypervisor.DescriptorCount, 1, before + 20);
    }

    [Theory]
    [InlineData("access")]
    [InlineData("full")]
    public void Exits_beyond_the_address_limit_are_still_counted(string trapState)
    {
        Start(trapState);
        using var partition = GuestPartition.Create(_socket, 1 << 20, 1);
        using var processor = partition.StartProcessor(0);
        for (ulong i = 0; i < 5000; i++) processor.ReadMmio(GuestLayout.BarAddress + 0x10_0000 + i, 1);
        var statistics = RunningHypervisor.Statistics(_socket, partition.Id);
        Assert.Equal((5000, 5000), (statistics.Exits.MmioRead, statistics.Unclaimed));
        Assert.Equal((4096, 904), (statistics.ByAddress.Count, statistics.UnlistedAddresses));
    }

    private FramedConnection NewGuest()
    {
        var connection = new FramedConnection(UnixConnection.Connect(_socket));
        var hello = Hello.Of(HelloKind.NewPartition);
        hello.MemoryBytes = 1 << 20;
        hello.Processors = 1;
        connection.Send(in hello);
        Assert.True(connection.Receive(out Welcome welcome));
        Assert.Equal(0u, welcome.Refused);
        connection.Descriptors.CloseAll();
        return connection;
    }
}
