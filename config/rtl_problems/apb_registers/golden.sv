module apb_registers (
  input  logic        pclk,
  input  logic        presetn,
  input  logic        psel,
  input  logic        penable,
  input  logic        pwrite,
  input  logic [7:0]  paddr,
  input  logic [31:0] pwdata,
  output logic [31:0] prdata,
  output logic        pready,
  output logic        pslverr,
  input  logic [3:0]  event_in,
  input  logic [15:0] status,
  output logic [7:0]  control,
  output logic        irq
);
  logic [3:0] events, enable, cleared;
  logic       write, known, unused;

  assign pready    = 1'b1;
  assign write     = psel && penable && pwrite;
  assign known     = paddr == 8'h00 || paddr == 8'h04 || paddr == 8'h08 || paddr == 8'h0c;
  assign pslverr   = psel && penable && !known;
  assign cleared   = write && paddr == 8'h08 ? pwdata[3:0] : 4'd0;
  assign irq       = |(events & enable);
  assign unused    = ^pwdata[31:8];

  always_ff @(posedge pclk or negedge presetn) begin
    if (!presetn) begin
      control <= 8'd0;
      events  <= 4'd0;
      enable  <= 4'd0;
    end else begin
      if (write && paddr == 8'h00) control <= pwdata[7:0];
      if (write && paddr == 8'h0c) enable <= pwdata[3:0];
      events <= (events & ~cleared) | event_in;
    end
  end

  always_comb begin
    prdata = 32'd0;
    if (psel && !pwrite) begin
      case (paddr)
        8'h00:   prdata = {24'd0, control};
        8'h04:   prdata = {16'd0, status};
        8'h08:   prdata = {28'd0, events};
        8'h0c:   prdata = {28'd0, enable};
        default: prdata = 32'd0;
      endcase
    end
  end
endmodule
