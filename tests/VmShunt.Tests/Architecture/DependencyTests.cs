using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;

namespace VmShunt.Tests.Architecture;

/// <summary>The arrows of docs/architecture.md, read out of the assemblies that were built.</summary>
public class DependencyTests
{
    [Theory]
    [InlineData("VmShunt.Ring")]
    [InlineData("VmShunt.Trap", "VmShunt.Ring")]
    [InlineData("VmShunt.Sandbox", "VmShunt.Terminal")]
    [InlineData("vmshunt-hypervisor", "VmShunt.Ring", "VmShunt.Terminal", "VmShunt.Sandbox", "VmShunt.Trap")]
    [InlineData("VmShunt.BlockBackend", "VmShunt.Ring")]
    [InlineData("VmShunt.AhciBackend", "VmShunt.Ring", "VmShunt.Trap", "VmShunt.BlockBackend")]
    [InlineData("vmshunt-host", "VmShunt.Ring", "VmShunt.Terminal", "VmShunt.Sandbox", "VmShunt.BlockBackend", "VmShunt.AhciBackend")]
    [InlineData("VmShunt.Guest.Firmware", "VmShunt.Ring", "VmShunt.Trap")]
    [InlineData("VmShunt.BlockDriver", "VmShunt.Ring")]
    [InlineData("VmShunt.Guest", "VmShunt.Ring", "VmShunt.Terminal", "VmShunt.Trap", "VmShunt.Guest.Firmware", "VmShunt.BlockDriver")]
    [InlineData("vmshunt-guest", "VmShunt.Ring", "VmShunt.Terminal", "VmShunt.Trap", "VmShunt.Guest.Firmware")]
    public void An_assembly_references_only_what_lies_below_it(string assembly, params string[] allowed)
    {
        var ours = References(assembly).Where(name => name.StartsWith("vmshunt", StringComparison.OrdinalIgnoreCase));
        Assert.Empty(ours.Except(allowed));
    }

    // A package may share its internals with another package, with tests, and with the physical machine, which puts the
    // device model behind registers without a transport. Everybody else uses what a package's user can.
    [Theory]
    [InlineData("VmShunt.Ring", "VmShunt.Tests")]
    [InlineData("VmShunt.Trap", "VmShunt.Tests")]
    [InlineData("VmShunt.BlockBackend", "VmShunt.AhciBackend", "vmshunt-machine", "vmshunt-perf", "VmShunt.Tests")]
    [InlineData("VmShunt.AhciBackend", "vmshunt-machine", "vmshunt-perf", "VmShunt.Tests")]
    [InlineData("VmShunt.BlockDriver", "VmShunt.Tests")]
    public void A_package_gives_its_internals_to_no_program_that_its_users_could_write(string package, params string[] allowed) =>
        Assert.Equal([], Friends(package).Except(allowed));

    [Fact]
    public void The_hypervisor_never_names_a_virtqueue()
    {
        string[] forbidden = ["VmShunt.Ring.Virtqueue", "VmShunt.Ring.VhostUser", "VmShunt.Ring.VirtioBlk", "VmShunt.Ring.Serving"];
        Assert.Empty(ReferencedNamespaces("vmshunt-hypervisor").Intersect(forbidden));
        Assert.Empty(Sources.Under("src/Hypervisor").Where(file => file.Code.Contains("irtqueue", StringComparison.Ordinal)).Select(file => file.Path));
    }

    [Fact]
    public void The_loader_holds_no_ring_and_does_not_name_the_kernel_that_it_starts()
    {
        var namespaces = ReferencedNamespaces("vmshunt-guest");
        Assert.DoesNotContain(namespaces, name => name.StartsWith("VmShunt.Ring.V", StringComparison.Ordinal));
        Assert.DoesNotContain("VmShunt.Guest", References("vmshunt-guest"));
    }

    [Theory]
    [InlineData("src/HostPartition/Ahci/Controller")]
    [InlineData("src/HostPartition/Block/VirtioBlk")]
    [InlineData("src/HostPartition/Block/Disk")]
    public void A_device_model_names_no_socket_no_transport_and_no_process(string place)
    {
        string[] forbidden = ["System.Net", "UnixConnection", "UnixListener", "VfioUser", "VhostUser;", "VhostUserBackend", "VmExit", "Process."];
        // A device's transport and a port driver's network are folders of their own below it.
        var files = Sources.Under(place).Where(file => Path.GetDirectoryName(file.Path) == place).ToList();
        Assert.NotEmpty(files);
        Assert.Empty(files.Where(file => forbidden.Any(word => file.Code.Contains(word, StringComparison.Ordinal))).Select(file => file.Path));
    }

    [Theory]
    [InlineData("src/Guest/Kernel/Emulating")]
    [InlineData("src/Guest/Kernel/Enlightened")]
    [InlineData("src/Guest/Block")]
    [InlineData("src/Guest/Firmware/Ahci")]
    public void A_driver_names_no_device_model(string folder)
    {
        string[] forbidden = ["AhciController", "VirtioBlkDevice", "HostPartition", "BlockBackend", "VirtualizationDriver"];
        Assert.Empty(Sources.Under(folder).Where(file => forbidden.Any(word => file.Code.Contains(word, StringComparison.Ordinal))).Select(file => file.Path));
    }

    private static List<string> References(string assembly) =>
        Read(assembly, metadata => metadata.AssemblyReferences.Select(handle => metadata.GetString(metadata.GetAssemblyReference(handle).Name)).ToList());

    private static List<string> Friends(string assembly) => Read(assembly, metadata => metadata.CustomAttributes
        .Select(metadata.GetCustomAttribute)
        .Where(attribute => attribute.Parent.Kind == HandleKind.AssemblyDefinition && NameOf(metadata, attribute) == "InternalsVisibleToAttribute")
        .Select(attribute =>
        {
            var value = metadata.GetBlobReader(attribute.Value);
            // The prolog (ECMA-335 §II.23.3).
            value.ReadUInt16();
            return value.ReadSerializedString()!;
        })
        .ToList());

    private static string? NameOf(MetadataReader metadata, CustomAttribute attribute) =>
        attribute.Constructor.Kind == HandleKind.MemberReference
        && metadata.GetMemberReference((MemberReferenceHandle)attribute.Constructor).Parent is { Kind: HandleKind.TypeReference } type
            ? metadata.GetString(metadata.GetTypeReference((TypeReferenceHandle)type).Name)
            : null;

    private static HashSet<string> ReferencedNamespaces(string assembly) =>
        Read(assembly, metadata => metadata.TypeReferences.Select(handle => metadata.GetString(metadata.GetTypeReference(handle).Namespace)).ToHashSet());

    private static T Read<T>(string assembly, Func<MetadataReader, T> read)
    {
        using var file = File.OpenRead(Path.Combine(AppContext.BaseDirectory, assembly + ".dll"));
        using var image = new PEReader(file);
        return read(image.GetMetadataReader());
    }
}
