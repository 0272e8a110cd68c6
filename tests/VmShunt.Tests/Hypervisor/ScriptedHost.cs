using System.Collections.Concurrent;
using System.Runtime.InteropServices;
using VmShunt.Ring.Interop;
using VmShunt.Ring.Memory;
using VmShunt.Ring.Serving;
using VmShunt.Tests.Trap.VfioUser;
using VmShunt.Trap;
using VmShunt.Trap.VfioUser;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Hypervisor;

/// <summary>
/// A VM-H that takes the processor's state with an access, and answers each as a test says. All else is served as a usable
/// device; its registers read as zeros.
/// </summary>
internal sealed class ScriptedHost : IDisposable
{
    private readonly SessionListener _listener;
    private readonly Action<Trap> _onTrap;
    private readonly bool _takesState;
    private int _traps;

    /// <param name="onTrap">Answers an access, or does not.</param>
    /// <param name="takesState">Whether it agrees to take the state.</param>
    internal ScriptedHost(Action<Trap> onTrap, bool takesState = true)
    {
        (_onTrap, _takesState) = (onTrap, takesState);
        _listener = new SessionListener(Path, Serve);
    }

    internal string Path { get; } = RunningHypervisor.NewSocket();

    /// <summary>The accesses that it got, in order.</summary>
    internal ConcurrentQueue<TrappedAccess> Accesses { get; } = new();

    /// <summary>The flags in the headers of these accesses.</summary>
    internal ConcurrentQueue<VfioUserFlags> Flags { get; } = new();

    /// <summary>How many sessions have ended that had an access.</summary>
    internal int EndedSessions => Ordered.Load(ref _ended);

    private int _ended;

    public void Dispose() => _listener.Dispose();

    private void Serve(UnixConnection connection)
    {
        using var end = new FramedConnection(connection);
        var configuration = new byte[256];
        new byte[] { 0, 1, 6, 1 }.CopyTo(configuration, 8);
        var hadAccess = false;
        try
        {
            while (end.Receive(out VfioUserHeader request))
            {
                var payload = new byte[request.Size - VfioUserHeader.HeaderBytes];
                end.Receive(payload);
                end.Descriptors.CloseAll();
                if (request.Command != VfioUserCommand.Trap)
                {
                    Reply(end, request, Answer(request.Command, payload, configuration));
                    continue;
                }
                hadAccess = true;
                var access = MemoryMarshal.Read<TrappedAccess>(payload);
                Accesses.Enqueue(access);
                Flags.Enqueue(request.Flags);
                _onTrap(new Trap(end, request, access, Interlocked.Increment(ref _traps)));
            }
        }
        catch (IOException)
        {
            // The hypervisor disconnected.
        }
        if (hadAccess) Interlocked.Increment(ref _ended);
    }

    private static void Reply(FramedConnection end, in VfioUserHeader request, byte[] payload) =>
        end.Send([
            .. MessageGen.Bytes(new VfioUserHeader { Id = request.Id, Command = request.Command, Size = (uint)(VfioUserHeader.HeaderBytes + payload.Length), Flags = VfioUserFlags.Reply }),
            .. payload,
        ]);

    private byte[] Answer(VfioUserCommand command, byte[] payload, byte[] configuration)
    {
        switch (command)
        {
            case VfioUserCommand.Version:
                var version = new byte[VfioUserVersion.BytesWith(_takesState)];
                VfioUserVersion.Write(version, 1, _takesState);
                return version;
            case VfioUserCommand.DeviceGetInfo:
                return Words(16, 3, 9, 5);
            case VfioUserCommand.DeviceGetRegionInfo:
                return Words(32, 3, 0, 0, payload[8] == VfioPciRegion.Bar5 ? 4096u : 256u, 0, 0, 0);
            case VfioUserCommand.DeviceGetIrqInfo:
                return Words(16, 9, 1, 1);
            case VfioUserCommand.RegionRead:
                var read = MemoryMarshal.Read<RegionAccess>(payload);
                return [.. payload, .. configuration.AsSpan((int)read.Offset, (int)read.Count)];
            case VfioUserCommand.RegionWrite:
                var write = MemoryMarshal.Read<RegionAccess>(payload);
                payload.AsSpan(RegionAccess.Bytes).CopyTo(configuration.AsSpan((int)write.Offset));
                return payload[..RegionAccess.Bytes];
            default:
                return command == VfioUserCommand.DmaUnmap ? payload : [];
        }
    }

    private static byte[] Words(params ReadOnlySpan<uint> words) => MemoryMarshal.AsBytes(words).ToArray();

    /// <summary>An access to answer; they are counted from 1.</summary>
    internal sealed record Trap(FramedConnection End, VfioUserHeader Request, TrappedAccess Access, int Number)
    {
        /// <summary>The answer of an honest VM-H: the instruction is complete, a load has this value.</summary>
        internal TrapAnswer Good(ulong value = 0)
        {
            var answer = new TrapAnswer
            {
                Partition = Access.Partition,
                Processor = Access.Processor,
                Sequence = Access.Sequence,
                Action = TrapAction.Resume,
                Changed = ProcessorRegisters.Rip | (Access.Reason == ExitReason.MmioRead ? ProcessorRegisters.Rax : ProcessorRegisters.None),
            };
            answer.State.Rax = value;
            answer.State.Rip = Access.State.Rip + Access.InstructionLength;
            return answer;
        }

        internal void Send(TrapAnswer answer)
        {
            var payload = new byte[TrapAnswer.MaxBytes];
            Send(payload[..answer.Write(payload)]);
        }

        internal void Send(byte[] payload) => Reply(End, Request, payload);
    }
}
