using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using VmShunt.Ring.VirtioBlk;

namespace VmShunt.Tests.Ring.VirtioBlk;

/// <summary>The shunt's area at the end of the vhost-user configuration space.</summary>
public class ShuntAgreementTests
{
    [Fact]
    public void The_area_has_fixed_bytes_at_the_end_of_the_configuration_space()
    {
        Assert.Equal((32, 16), (Unsafe.SizeOf<ShuntAgreement>(), Unsafe.SizeOf<ShuntDeclaration>()));
        Assert.Equal(256, ShuntAgreement.Offset + ShuntAgreement.Bytes);
        Assert.Equal(ShuntAgreement.DeclaredOffset - ShuntAgreement.Offset, (int)Marshal.OffsetOf<ShuntAgreement>(nameof(ShuntAgreement.Declared)));
        var area = new ShuntAgreement
        {
            Magic = ShuntAgreement.ExpectedMagic,
            Version = ShuntAgreement.CurrentVersion,
            Implemented = RequestTypes.All,
            Declared = new ShuntDeclaration { Version = 1, Criterion = PrimaryCriterion.Effort, Primary = RequestTypes.Read | RequestTypes.WriteZeroes },
        };
        var bytes = MemoryMarshal.AsBytes(new ReadOnlySpan<ShuntAgreement>(in area));
        Assert.Equal("VMSHUNT\0", Encoding.ASCII.GetString(bytes[..8]));
        Assert.Equal("01000000" + "1F000000" + "01000000" + "03000000" + "11000000" + "00000000", Convert.ToHexString(bytes[8..]));
    }
}
