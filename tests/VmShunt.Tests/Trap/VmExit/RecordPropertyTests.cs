using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using CsCheck;
using VmShunt.Ring.Interop;
using VmShunt.Trap;
using VmShunt.Trap.VmExit;

namespace VmShunt.Tests.Trap.VmExit;

/// <summary>
/// Properties of the records that a virtual processor and the hypervisor exchange, at either end. Each answer is in the
/// socket before it is asked for, so a sample needs no second thread.
/// </summary>
public sealed class RecordPropertyTests
{
    private static readonly int s_exitBytes = Unsafe.SizeOf<ExitRecord>(), s_resumeBytes = Unsafe.SizeOf<ResumeRecord>();

    private static readonly Gen<ProcessorState> s_state = Gen.ULong.Array[18].Select(static words => MemoryMarshal.Read<ProcessorState>(MemoryMarshal.AsBytes(words.AsSpan())));

    private static readonly Gen<ResumeRecord> s_resume = Gen.Select(
        Gen.Frequency<uint>((8, Gen.UInt[1, 3]), (1, Gen.UInt)),
        Gen.Frequency<uint>((8, Gen.Const(1u)), (1, Gen.UInt)),
        Gen.UInt[0, 300],
        Gen.UInt,
        Gen.UInt[0, 3],
        Gen.Frequency<uint>((4, Gen.Const(0u)), (4, Gen.UInt[0, 40]), (1, Gen.UInt[1020, 1030])),
        s_state,
        static (action, sequence, vector, descriptors, fault, textLength, state) => new ResumeRecord
        {
            Action = (ResumeAction)action,
            Sequence = sequence,
            InstructionLength = vector & 3,
            Vector = vector,
            DescriptorCount = descriptors,
            FaultCode = (FaultCode)fault,
            TextLength = textLength,
            State = state,
        });

    private static readonly Gen<byte[]> s_answer = Gen.Frequency<byte[]>(
        (6, Gen.Select(s_resume, Gen.Byte, static (resume, letter) => (byte[])[.. Bytes(resume), .. Enumerable.Repeat(letter, (int)Math.Min(resume.TextLength, 2000))])),
        (2, Gen.Select(s_resume, Gen.Int[0, 215], static (resume, cut) => Padded(resume)[..cut])),
        (1, Gen.Byte.Array[0, 300]));

    [Fact]
    public void An_answer_of_any_bytes_resumes_faults_or_loses_the_hypervisor() =>
        s_answer.Sample(
            static answer =>
            {
                var (one, two) = UnixConnection.CreatePair();
                using var hypervisor = two;
                using var processor = new VirtualProcessor(new FramedConnection(one), 0);
                if (answer.Length > 0) hypervisor.Send(answer);
                hypervisor.ShutdownSend();
                ulong value = 0;
                var error = Record.Exception(() => value = processor.ReadMmio(0x1000, 4));
                var whole = answer.Length >= s_resumeBytes;
                var resume = whole ? MemoryMarshal.Read<ResumeRecord>(answer) : default;
                var hasText = resume.TextLength <= ResumeRecord.MaxTextBytes && answer.Length - s_resumeBytes >= resume.TextLength;
                // An instruction that is not skipped exits again, and there is no second answer.
                var isAgain = resume is { Action: ResumeAction.Resume, InstructionLength: 0 };
                if (!whole || resume.Sequence != 1 || isAgain || (resume.Action != ResumeAction.Resume && !hasText))
                {
                    Assert.IsType<HypervisorLostException>(error);
                }
                else if (resume.Action == ResumeAction.Resume)
                {
                    Assert.Null(error);
                    Assert.Equal(resume.State.Rax, value);
                    Assert.Equal(Bytes(resume.State), Bytes(processor.State));
                }
                else if (resume.Action == ResumeAction.Fault)
                {
                    var fault = Assert.IsType<MachineCheckException>(error);
                    Assert.Equal(Encoding.UTF8.GetString(answer, s_resumeBytes, (int)resume.TextLength), fault.Message);
                    Assert.Equal(resume.FaultCode, fault.Code);
                }
                else
                {
                    Assert.IsType<HypervisorLostException>(error);
                }
            },
            iter: 3000,
            print: Convert.ToHexString);

    [Fact]
    public void An_exit_of_any_bytes_reaches_the_hypervisor_unchanged_and_a_cut_one_is_an_error() =>
        Gen.Byte.Array[0, 2 * 168].Sample(
            static bytes =>
            {
                var (one, two) = UnixConnection.CreatePair();
                using var guest = one;
                using var channel = new ProcessorChannel(two);
                if (bytes.Length > 0) guest.Send(bytes);
                guest.ShutdownSend();
                var at = 0;
                for (; bytes.Length - at >= s_exitBytes; at += s_exitBytes)
                {
                    Assert.True(channel.TryReceiveExit(out var exit));
                    Assert.Equal(bytes.AsSpan(at, s_exitBytes).ToArray(), Bytes(exit));
                }
                if (at == bytes.Length) Assert.False(channel.TryReceiveExit(out _));
                else Assert.Throws<IOException>(() => channel.TryReceiveExit(out _));
            },
            iter: 500);

    [Fact]
    public void A_processor_and_the_hypervisor_agree_on_every_exit_and_resume() =>
        Gen.Select(Gen.OneOf(ExitReason.MmioRead, ExitReason.MmioWrite, ExitReason.Hypercall, ExitReason.Halt), Gen.OneOf(1, 2, 4, 8), Gen.ULong, Gen.ULong, s_state, s_state, Gen.UInt[0, 300]).Sample(
            static (reason, size, address, value, before, after, vector) =>
            {
                var (one, two) = UnixConnection.CreatePair();
                using var channel = new ProcessorChannel(two);
                using var processor = new VirtualProcessor(new FramedConnection(one), 3);
                processor.State = before;
                channel.Resume(new ExitRecord { Reason = reason, Size = IsAccess(reason) ? (uint)size : 0, Sequence = 1 }, after, vector);
                ulong got = reason switch
                {
                    ExitReason.MmioRead => processor.ReadMmio(address, size),
                    ExitReason.MmioWrite => Write(processor, address, size, value),
                    ExitReason.Hypercall => (ulong)processor.Invoke(address, value),
                    _ => (ulong)processor.Halt(),
                };
                Assert.True(channel.TryReceiveExit(out var exit));
                Assert.Equal((3u, reason, IsAccess(reason) ? address : 0, IsAccess(reason) ? (uint)size : 0, 1u), (exit.Processor, exit.Reason, exit.Address, exit.Size, exit.Sequence));
                Assert.Equal(before.Rip, exit.State.Rip);
                if (reason == ExitReason.MmioWrite) Assert.Equal(value, exit.State.Rax);
                if (reason == ExitReason.Hypercall) Assert.Equal((address, value), (exit.State.Rcx, exit.State.Rdx));
                Assert.Equal(reason == ExitReason.Halt ? vector : after.Rax, got);
                after.Rip += TrappedInstruction.Length(reason, (uint)size);
                Assert.Equal(Bytes(after), Bytes(processor.State));
            },
            iter: 1000);

    [Fact]
    public void A_hello_is_accepted_only_with_this_magic_and_version() =>
        Gen.Select(Gen.Byte.Array[56], Gen.Bool, Gen.Bool, Gen.Frequency<int>((3, Gen.Const(56)), (1, Gen.Int[0, 55]))).Sample(
            static (bytes, rightMagic, rightVersion, length) =>
            {
                if (rightMagic) BitConverter.TryWriteBytes(bytes, Hello.ExpectedMagic);
                if (rightVersion) BitConverter.TryWriteBytes(bytes.AsSpan(8), Hello.ExpectedVersion);
                var (one, two) = UnixConnection.CreatePair();
                using var client = one;
                using var channel = new ProcessorChannel(two);
                if (length > 0) client.Send(bytes.AsSpan(0, length));
                client.ShutdownSend();
                var received = false;
                Hello hello = default;
                var error = Record.Exception(() => received = channel.TryReceiveHello(out hello));
                Assert.True(error is null or IOException, error?.ToString());
                var sent = MemoryMarshal.Read<Hello>(bytes);
                Assert.Equal(length == 56 && sent.Magic == Hello.ExpectedMagic && sent.Version == Hello.ExpectedVersion, received);
                Assert.Equal(received || length == 0, error is null);
                if (received) Assert.Equal(bytes, Bytes(hello));
            },
            iter: 500);

    private static bool IsAccess(ExitReason reason) => reason is ExitReason.MmioRead or ExitReason.MmioWrite;

    private static ulong Write(VirtualProcessor processor, ulong address, int size, ulong value)
    {
        processor.WriteMmio(address, size, value);
        return processor.State.Rax;
    }

    private static byte[] Padded(ResumeRecord resume) => [.. Bytes(resume), .. new byte[40]];

    private static byte[] Bytes<T>(T value) where T : unmanaged => MemoryMarshal.AsBytes(new ReadOnlySpan<T>(in value)).ToArray();
}
