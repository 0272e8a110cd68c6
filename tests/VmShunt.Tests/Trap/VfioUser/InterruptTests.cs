using System.Runtime.InteropServices;
using VmShunt.Ring.Files;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;

namespace VmShunt.Tests.Trap.VfioUser;

/// <summary>SET_IRQS in all of its forms, and what a server keeps of a client that has disconnected.</summary>
public sealed class InterruptTests : IDisposable
{
    private readonly FramedConnection _client;
    private readonly Thread _thread;
    private readonly EventFd _eventFd = EventFd.Create();
    private RegisterDevice? _device;

    public InterruptTests()
    {
        var (one, two) = UnixConnection.CreatePair();
        _client = new FramedConnection(one);
        _thread = new Thread(() =>
        {
            using var session = new VfioUserSession(two, interrupt => _device = new RegisterDevice(interrupt));
            session.Run();
        });
        _thread.Start();
        Assert.Equal(0u, Ask(MessageGen.Version()));
    }

    public void Dispose()
    {
        _client.Dispose();
        _thread.Join();
        _eventFd.Dispose();
    }

    [Fact]
    public void A_client_triggers_an_interrupt_unless_the_boolean_says_no()
    {
        Set(VfioPciIrq.Msi, IrqSetFlags.DataEventFd | IrqSetFlags.Trigger, 1, _eventFd);
        Set(VfioPciIrq.Msi, IrqSetFlags.DataNone | IrqSetFlags.Trigger, 1);
        Assert.True(_eventFd.TryDrain());
        Set(VfioPciIrq.Msi, IrqSetFlags.DataBool | IrqSetFlags.Trigger, 1, data: 1);
        Assert.True(_eventFd.TryDrain());
        Set(VfioPciIrq.Msi, IrqSetFlags.DataBool | IrqSetFlags.Trigger, 1, data: 0);
        Assert.False(_eventFd.TryDrain());
    }

    [Theory]
    [InlineData((uint)(IrqSetFlags.DataNone | IrqSetFlags.Trigger), 0u)]
    [InlineData((uint)(IrqSetFlags.DataEventFd | IrqSetFlags.Trigger), 1u)]
    public void An_interrupt_is_switched_off_by_a_count_of_0_or_by_no_eventfd(uint flags, uint count)
    {
        Set(VfioPciIrq.Msi, IrqSetFlags.DataEventFd | IrqSetFlags.Trigger, 1, _eventFd);
        Set(VfioPciIrq.Msi, (IrqSetFlags)flags, count);
        Set(VfioPciIrq.Msi, IrqSetFlags.DataNone | IrqSetFlags.Trigger, 1);
        Assert.False(_eventFd.TryDrain());
    }

    [Fact]
    public void A_masked_pin_signals_when_it_is_unmasked_while_asserted()
    {
        Set(VfioPciIrq.Intx, IrqSetFlags.DataEventFd | IrqSetFlags.Trigger, 1, _eventFd);
        Set(VfioPciIrq.Intx, IrqSetFlags.DataNone | IrqSetFlags.Mask, 1);
        _device!.Interrupt.Raise();
        Assert.False(_eventFd.TryDrain());
        Set(VfioPciIrq.Intx, IrqSetFlags.DataBool | IrqSetFlags.Unmask, 1, data: 0);
        Assert.False(_eventFd.TryDrain());
        Set(VfioPciIrq.Intx, IrqSetFlags.DataBool | IrqSetFlags.Unmask, 1, data: 1);
        Assert.True(_eventFd.TryDrain());
    }

    [Fact]
    public void A_range_mapped_without_the_writeable_flag_is_read_only()
    {
        using var file = SharedMemoryFile.Create("test", 0x1000);
        Assert.Equal(0u, Ask(Map(DmaMapRequest.Readable), file));
        Assert.True(_device!.Memory!.TryRead(0, out ulong _));
        Assert.False(_device.Memory!.TryWrite(0, 1ul));
    }

    [Fact]
    public void A_disconnected_client_leaves_no_mapping_and_no_descriptor_at_the_server()
    {
        var name = $"test-{Guid.NewGuid():N}";
        var file = SharedMemoryFile.Create(name, 0x1000);
        Assert.Equal(0u, Ask(Map(DmaMapRequest.Readable | DmaMapRequest.Writable), file));
        Set(VfioPciIrq.Msi, IrqSetFlags.DataEventFd | IrqSetFlags.Trigger, 1, _eventFd);
        file.Dispose();
        Assert.Contains(name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        Assert.Equal(2, Holders(EventFdId()));

        _client.Dispose();
        _thread.Join();
        Assert.Contains("disposed", _device!.Events);
        Assert.DoesNotContain(name, File.ReadAllText("/proc/self/maps"), StringComparison.Ordinal);
        Assert.DoesNotContain(Directory.GetFileSystemEntries("/proc/self/fd"), link => TargetOf(link).Contains(name, StringComparison.Ordinal));
        Assert.Equal(1, Holders(EventFdId()));
    }

    private static Message Map(uint flags) =>
        new(1, (ushort)VfioUserCommand.DmaMap, 0, MessageGen.Bytes(new DmaMapRequest { ArgSize = DmaMapRequest.Bytes, Flags = flags, Size = 0x1000 }));

    private void Set(int index, IrqSetFlags flags, uint count, EventFd? eventFd = null, byte? data = null)
    {
        byte[] payload = [.. MessageGen.Bytes(new IrqSetRequest { ArgSize = IrqSetRequest.Bytes, Flags = flags, Index = (uint)index, Count = count }), .. data is { } b ? [b] : Array.Empty<byte>()];
        Assert.Equal(0u, Ask(new Message(2, (ushort)VfioUserCommand.DeviceSetIrqs, 0, payload), eventFd?.Handle));
    }

    private uint Ask(Message message, SafeHandle? descriptor = null)
    {
        if (descriptor is null) _client.Send(message.Bytes);
        else _client.Send(message.Bytes, [descriptor]);
        Assert.True(_client.Receive(out VfioUserHeader reply));
        Assert.True(_client.Receive(new byte[reply.Size - VfioUserHeader.HeaderBytes]));
        return reply.Error;
    }

    // The kernel numbers eventfds (proc(5), fdinfo), so the copies of this one can be counted.
    private string EventFdId() =>
        File.ReadLines($"/proc/self/fdinfo/{_eventFd.Handle.DangerousGetHandle()}").Single(static line => line.StartsWith("eventfd-id:", StringComparison.Ordinal));

    private static int Holders(string id) => Directory.GetFileSystemEntries("/proc/self/fdinfo").Count(entry => ContentOf(entry).Contains(id + "\n", StringComparison.Ordinal));

    // Other tests of this process open and close descriptors meanwhile.
    private static string ContentOf(string entry)
    {
        try
        {
            return File.ReadAllText(entry);
        }
        catch (IOException)
        {
            return "";
        }
    }

    private static string TargetOf(string link)
    {
        try
        {
            return new FileInfo(link).LinkTarget ?? "";
        }
        catch (IOException)
        {
            return "";
        }
    }
}
