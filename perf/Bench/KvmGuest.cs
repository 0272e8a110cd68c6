using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace VmShunt.Perf.Bench;

/// <summary>
/// A virtual machine of a few bytes in <c>/dev/kvm</c>: one page of code that loads from an address without memory, again and
/// again. Each load leaves by KVM_EXIT_MMIO: the raw price of an exit on this machine.
/// </summary>
internal sealed class KvmGuest : IDisposable
{
    internal const string Device = "/dev/kvm";

    /// <summary>The address that the guest loads from.</summary>
    internal const ulong MmioAddress = 0x2000;

    private const int ApiVersion = 12, PageBytes = 4096, RegistersBytes = 144, SpecialRegistersBytes = 312;
    private const int ExitReasonOffset = 8, AddressOffset = 32, DataOffset = 40, LengthOffset = 48, IsWriteOffset = 52, MmioExit = 6;

    // linux/kvm.h: _IO, _IOR and _IOW of 0xAE.
    private const nuint GetApiVersion = 0xAE00, CreateVm = 0xAE01, GetRunSize = 0xAE04, CreateProcessor = 0xAE41, Run = 0xAE80;
    private const nuint SetMemory = 0x4020_AE46, SetRegisters = 0x4090_AE82, GetSpecialRegisters = 0x8138_AE83, SetSpecialRegisters = 0x4138_AE84;
    private const int ReadWrite = 3, SharedMap = 1, AnonymousMap = 0x20;
    private const nint MapFailed = -1;

    private readonly SafeFileHandle _kvm;
    private SafeFileHandle? _machine, _processor;
    private nint _memory = MapFailed, _run = MapFailed;
    private nuint _runBytes;

    private KvmGuest(SafeFileHandle kvm) => _kvm = kvm;

    /// <summary>Creates it.</summary>
    /// <param name="device">The device; <see cref="Device"/>.</param>
    /// <param name="reason">Why there is none here: no device, no right, or no virtual machine can be made.</param>
    internal static KvmGuest? TryCreate(string device, out string reason)
    {
        reason = "";
        KvmGuest? guest = null;
        try
        {
            guest = new KvmGuest(File.OpenHandle(device, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite));
            guest.Boot(device);
            guest.Exit();
            return guest;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            guest?.Dispose();
            reason = e.Message;
            return null;
        }
    }

    /// <summary>Runs the guest until its next load, and answers that.</summary>
    /// <exception cref="IOException">It left otherwise.</exception>
    internal void Exit()
    {
        if (Ioctl(_processor!, Run, 0) < 0) throw Failure("KVM_RUN");
        var reason = Marshal.ReadInt32(_run, ExitReasonOffset);
        if (reason != MmioExit) throw new IOException($"the guest in {Device} left for reason {reason} instead of KVM_EXIT_MMIO");
        var (address, length, isWrite) = (Marshal.ReadInt64(_run, AddressOffset), Marshal.ReadInt32(_run, LengthOffset), Marshal.ReadByte(_run, IsWriteOffset));
        if ((address, length, isWrite) != ((long)MmioAddress, 2, 0)) throw new IOException($"the guest in {Device} accessed {length} bytes at {address:x} instead of 2 at {MmioAddress:x}");
        Marshal.WriteInt64(_run, DataOffset, 0x1234);
    }

    public void Dispose()
    {
        if (_run != MapFailed) _ = Unmap(_run, _runBytes);
        _processor?.Dispose();
        _machine?.Dispose();
        if (_memory != MapFailed) _ = Unmap(_memory, PageBytes);
        _kvm.Dispose();
    }

    private void Boot(string device)
    {
        var version = Ioctl(_kvm, GetApiVersion, 0);
        if (version != ApiVersion) throw new IOException(version < 0 ? $"{device} is no KVM: {Marshal.GetLastPInvokeErrorMessage()}" : $"{device} has version {version} of the API, not {ApiVersion}");
        _machine = Descriptor(Ioctl(_kvm, CreateVm, 0), "KVM_CREATE_VM");
        _memory = Map(0, PageBytes, ReadWrite, SharedMap | AnonymousMap, -1, 0);
        if (_memory == MapFailed) throw Failure("mmap");
        // mov ax, [2000h]; jmp to it.
        Marshal.Copy((byte[])[0xA1, 0x00, 0x20, 0xEB, 0xFB], 0, _memory, 5);
        // kvm_userspace_memory_region: slot, flags, guest_phys_addr, memory_size, userspace_addr.
        Set(_machine, SetMemory, "KVM_SET_USER_MEMORY_REGION", [0, 0, PageBytes, (ulong)_memory]);
        _processor = Descriptor(Ioctl(_machine, CreateProcessor, 0), "KVM_CREATE_VCPU");
        _runBytes = (nuint)Ioctl(_kvm, GetRunSize, 0);
        _run = Map(0, _runBytes, ReadWrite, SharedMap, (int)_processor.DangerousGetHandle(), 0);
        if (_run == MapFailed) throw Failure("mmap of kvm_run");
        // Real mode, as after a reset, but with the code segment at 0.
        var special = new byte[SpecialRegistersBytes];
        if (Ioctl(_processor, GetSpecialRegisters, special) < 0) throw Failure("KVM_GET_SREGS");
        special.AsSpan(0, 8).Clear();
        special.AsSpan(12, 2).Clear();
        if (Ioctl(_processor, SetSpecialRegisters, special) < 0) throw Failure("KVM_SET_SREGS");
        // RIP is the 17th word, RFLAGS the 18th, whose bit 1 is always set.
        var registers = new ulong[RegistersBytes / sizeof(ulong)];
        registers[17] = 2;
        Set(_processor, SetRegisters, "KVM_SET_REGS", registers);
    }

    private static SafeFileHandle Descriptor(int value, string call) => value >= 0 ? new SafeFileHandle(value, ownsHandle: true) : throw Failure(call);

    private static void Set(SafeFileHandle handle, nuint request, string call, ulong[] words)
    {
        if (Ioctl(handle, request, MemoryMarshal.AsBytes(words.AsSpan()).ToArray()) < 0) throw Failure(call);
    }

    private static IOException Failure(string call) => new($"{call} on {Device}: {Marshal.GetLastPInvokeErrorMessage()}");

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Ioctl(SafeFileHandle handle, nuint request, nint argument);

    [DllImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    private static extern int Ioctl(SafeFileHandle handle, nuint request, [In, Out] byte[] argument);

    [DllImport("libc", EntryPoint = "mmap", SetLastError = true)]
    private static extern nint Map(nint address, nuint bytes, int protection, int flags, int handle, nint offset);

    [DllImport("libc", EntryPoint = "munmap")]
    private static extern int Unmap(nint address, nuint bytes);
}
