using VmShunt.BlockBackend.Disk;
using VmShunt.Guest.Devices;
using VmShunt.Guest.Firmware.Machine;
using VmShunt.Guest.Mode;
using VmShunt.Tests.Guest.Kernel.Machine;
using VmShunt.Trap.Ahci;

namespace VmShunt.Tests.Guest.Kernel.Devices;

/// <summary>What applications find in each mode.</summary>
public class DeviceTreeTests
{
    [Fact]
    public void In_enlightened_mode_queries_find_the_enlightened_disk_instead_of_the_emulated_one()
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        Assert.Equal(["ahci0", "sda"], Names(devices));
        var disk = (DiskDevice)devices.Open("sda");
        Assert.Equal((2048UL, InProcessMachine.Serial), (disk.Identify().SectorCount, disk.Identify().Serial));

        guest.Mode.Change(GuestMode.Enlightened);
        Assert.Equal(["ahci0", "vda"], Names(devices));
        Assert.Throws<DeviceNotFoundException>(() => devices.Open("sda"));
        Assert.Throws<DeviceNotFoundException>(() => disk.Identify());
        Assert.Equal(2048UL, ((DiskDevice)devices.Open("vda")).Identify().SectorCount);
        Assert.Equal(3, devices.SuppressedQueries);

        guest.Mode.Change(GuestMode.Emulating);
        Assert.Equal(["ahci0", "sda"], Names(devices));
        Assert.Throws<DeviceNotFoundException>(() => devices.Open("vda"));
    }

    [Fact]
    public void A_mapped_port_of_a_hidden_disk_reads_as_an_empty_one_and_as_removed_after_a_change()
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        var controller = (ControllerDevice)devices.Open("ahci0");
        var before = controller.MapRegisters();
        Assert.Equal(SataLink.SignatureAta, Port(before, PortRegister.PxSIG));
        guest.Mode.Change(GuestMode.Enlightened);
        Assert.Equal(uint.MaxValue, Port(before, PortRegister.PxSSTS));
        var hidden = controller.MapRegisters();
        Assert.Equal((0u, uint.MaxValue, 0x7Fu), (Port(hidden, PortRegister.PxSSTS), Port(hidden, PortRegister.PxSIG), Port(hidden, PortRegister.PxTFD)));
        Assert.Equal(1u, (uint)hidden.Read(hidden.Address + HbaRegister.PI, 4));
        Assert.Throws<IOException>(controller.BuildStack);
        Assert.Throws<UnauthorizedAccessException>(() => hidden.Write(hidden.Address + HbaRegister.GHC, 4, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => hidden.Read(hidden.Address + HbaRegister.AbarBytes, 4));
    }

    [Fact]
    public void A_port_mapped_while_its_disk_is_hidden_reads_as_removed_once_it_is_shown_and_no_interrupt_reveals_it()
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        guest.Mode.Change(GuestMode.Enlightened);
        var controller = (ControllerDevice)devices.Open("ahci0");
        var hidden = controller.MapRegisters();
        guest.Emulated.Visibility.Suppress(false);
        Assert.Equal((uint.MaxValue, uint.MaxValue), (Port(hidden, PortRegister.PxSSTS), Port(hidden, PortRegister.PxSIG)));
        Assert.Equal(SataLink.SignatureAta, Port(controller.MapRegisters(), PortRegister.PxSIG));
        guest.Emulated.Visibility.Suppress(true);

        // The controller has bit 0 of IS set while the disk is hidden.
        var window = new RegisterWindow(new FixedRegisters(0xFFFF_FFFF), guest.Emulated.Hba.Abar, guest.Emulated.Visibility, drivesPort: false);
        Assert.Equal(0xFFFF_FFFEu, (uint)window.Read(window.Address + HbaRegister.IS, 4));
        Assert.Equal(0xFFFF_FFFFu, (uint)window.Read(window.Address + HbaRegister.GHC, 4));
        guest.Emulated.Visibility.Suppress(false);
        Assert.Equal(0xFFFF_FFFFu, (uint)window.Read(window.Address + HbaRegister.IS, 4));
    }

    [Fact]
    public async Task A_stack_that_an_application_builds_shares_the_port_and_passes_the_shunt()
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        using var stack = ((ControllerDevice)devices.Open("ahci0")).BuildStack();
        Assert.False(stack.DrivesPort);
        guest.Mode.Change(GuestMode.Enlightened);
        await stack.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((0L, 1L), (stack.Disk.Counters.Trapped, stack.Disk.Counters.Ringed));
    }

    [Theory]
    [InlineData("below-class")]
    [InlineData("below-port")]
    public async Task A_stack_built_after_the_removal_of_the_kernels_drives_the_port(string name)
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        guest.Mode.Configure(ShuntOptions.Default with { Position = ShuntNames.Positions.Single(p => p.Name == name).Position });
        guest.Mode.Change(GuestMode.Enlightened);
        guest.Mode.RemoveEmulating();
        guest.Emulated.Visibility.Suppress(false);
        using var stack = ((ControllerDevice)devices.Open("ahci0")).BuildStack();
        Assert.True(stack.DrivesPort);
        await stack.Disk.WriteAsync(0, guest.Pages.Allocate(512));
        await Task.Yield();
        Assert.Equal((0L, 1L, 0L), (stack.Disk.Counters.Trapped, stack.Disk.Counters.Ringed, stack.Disk.Counters.Failed));
        // The window follows an exchange of the layer below it.
        guest.Mode.Configure(ShuntOptions.Default);
        await stack.Disk.FlushAsync();
        await Task.Yield();
        Assert.Equal((2L, 0L), (stack.Disk.Counters.Completed, stack.Disk.Counters.Failed));
    }

    [Fact]
    public void Other_disks_are_named_by_their_controllers()
    {
        using var guest = Guest();
        using var devices = Devices(guest);
        Assert.Contains("the other disks are: none", Assert.Throws<IOException>(() => devices.OtherDisk("sdb")).Message, StringComparison.Ordinal);
        Assert.Throws<DeviceNotFoundException>(() => devices.Open("ahci7"));
    }

    private static string[] Names(DeviceTree devices) => [.. devices.Enumerate().Select(static device => device.Name)];

    private static uint Port(RegisterWindow registers, int register) => (uint)registers.Read(registers.Address + (ulong)HbaRegister.OfPort(0, register), 4);

    private static DeviceTree Devices(InProcessGuest guest) => new(
        guest.Emulated, () => guest.Mode.Enlightened, () => [guest.Emulated.Hba], static hba => throw new InvalidOperationException($"no other controller than {hba.Device}"));

    private static InProcessGuest Guest()
    {
        var guest = new InProcessGuest(new MemoryPortDriver(1 << 20));
        guest.Machine.IsOffered = true;
        return guest;
    }

    private sealed class FixedRegisters(ulong value) : IMmio
    {
        public ulong Read(ulong address, int size) => value;

        public void Write(ulong address, int size, ulong value)
        {
            // Not written by a query.
        }
    }
}
